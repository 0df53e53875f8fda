-- Dials two legs to Sotto, each with one party's audio: luarun sotto.lua CALL-UUID SOTTO-ADDRESS
-- Not tried by us; written from FreeSWITCH's documentation.
--
-- Both eavesdrop on the incoming channel. With eavesdrop_bridge_aleg they hear what that channel says (the
-- customer), with eavesdrop_bridge_bleg what it is told (the agent). If Sotto does not answer, the call goes on.
local uuid, sotto = argv[1], argv[2]
local api = freeswitch.API()

local function leg(party, aleg, bleg)
  local variables = table.concat({
    "ignore_early_media=true",
    "originate_timeout=10",
    "absolute_codec_string=PCMU",
    "eavesdrop_bridge_aleg=" .. aleg,
    "eavesdrop_bridge_bleg=" .. bleg,
    "sip_h_X-Sotto-Call=" .. uuid,
    "sip_h_X-Sotto-Party=" .. party,
  }, ",")
  api:execute("bgapi",
    "originate {" .. variables .. "}sofia/external/" .. party .. "@" .. sotto .. " &eavesdrop(" .. uuid .. ")")
end

leg("customer", "true", "false")
leg("agent", "false", "true")
