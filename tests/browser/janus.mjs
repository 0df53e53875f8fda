// A page of Chromium whose calls go through Janus (its NoSIP plugin) to telephones on this machine.
//
//   node janus.mjs JANUS MICROPHONE.wav PORT...
//
// JANUS is the address of its HTTP interface; each PORT is where one telephone receives. Prints, as a line of JSON,
// where each telephone is to send; then, for each line that comes in, the packets of all calls so far.

import { createInterface } from 'node:readline';

import { launch } from '../../web/dev/browser.mjs';

const [janus, microphone, ...ports] = process.argv.slice(2);

/** Sets up one call; gives the port where Janus waits for the telephone's packets. */
async function call([janus, port]) {
  const ask = async (path, body) => {
    const transaction = crypto.randomUUID();
    const answer = await fetch(janus + path, {
      method: 'POST',
      body: JSON.stringify({ ...body, transaction }),
    }).then((response) => response.json());
    if (answer.janus === 'error') throw new Error(JSON.stringify(answer));
    return answer;
  };
  const session = `/${(await ask('', { janus: 'create' })).data.id}`;
  const handle = (await ask(session, { janus: 'attach', plugin: 'janus.plugin.nosip' })).data.id;
  /** The plugin's answer, which comes as an event. */
  const told = async (body, jsep) => {
    await ask(`${session}/${handle}`, { janus: 'message', body, ...(jsep ? { jsep } : {}) });
    for (;;) {
      const event = await fetch(`${janus + session}?maxev=1`).then((response) => response.json());
      const data = event.plugindata?.data;
      if (data?.error) throw new Error(data.error);
      if (event.janus === 'event') return { result: data.result, jsep: event.jsep };
    }
  };
  const peer = new RTCPeerConnection();
  (window.peers ??= []).push(peer);
  window.voice ??= await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  for (const track of window.voice.getTracks()) peer.addTrack(track, window.voice);
  const gathered = new Promise((then) => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && then();
  });
  await peer.setLocalDescription(await peer.createOffer());
  await gathered;
  const { result } = await told({ request: 'generate' }, { type: 'offer', sdp: peer.localDescription.sdp });
  const sdp = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    `m=audio ${port} RTP/AVP 111`,
    'a=rtpmap:111 opus/48000/2',
    'a=sendrecv',
    '',
  ].join('\r\n');
  const { jsep } = await told({ request: 'process', type: 'answer', sdp });
  const connected = new Promise((then, fail) => {
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === 'connected') then();
      if (peer.connectionState === 'failed') fail(new Error('no connection to Janus'));
    };
  });
  await peer.setRemoteDescription(jsep);
  await connected;
  return Number(/m=audio (\d+)/.exec(result.sdp)[1]);
}

async function packets() {
  const counted = { sent: 0, received: 0 };
  for (const peer of window.peers) {
    for (const report of (await peer.getStats()).values()) {
      if (report.type === 'outbound-rtp') counted.sent += report.packetsSent;
      if (report.type === 'inbound-rtp') counted.received += report.packetsReceived;
    }
  }
  return counted;
}

const browser = await launch(
  '--autoplay-policy=no-user-gesture-required',
  `--use-file-for-fake-audio-capture=${microphone}`,
  '--allow-loopback-in-peer-connection',
);
try {
  const page = await browser.newPage();
  // A page of Janus's own address may ask for the microphone.
  await page.goto(`${janus}/info`);
  const to = [];
  for (const port of ports) to.push(await page.evaluate(call, [janus, port]));
  console.log(JSON.stringify(to));
  for await (const _ of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await page.evaluate(packets)));
  }
} finally {
  await browser.close();
}
