// Generated from crates/server by its example `phone_types`. Do not edit.

import type { Attention, CallId } from './call';

export type AgentState = "away" | "ready" | "ringing" | "talking" | "wrap_up";

export type Who = { 
/**
 * Their name.
 */
name: string, 
/**
 * What they are doing.
 */
state: AgentState, 
/**
 * For how long.
 */
since_ms: number, 
/**
 * The call they are on.
 */
call_id?: string, };

export type Caller = { 
/**
 * Address of record.
 */
aor: string | null, 
/**
 * Display name.
 */
name: string | null, };

export type InLine = { 
/**
 * Tells this caller from the others.
 */
id: number, 
/**
 * Who.
 */
from: Caller, 
/**
 * The number called, or the agent's name.
 */
called: string, 
/**
 * For how long.
 */
since_ms: number, 
/**
 * The agent whom it rings at.
 */
rings_at?: string, };

export type Ongoing = { 
/**
 * Its id.
 */
call_id: CallId, 
/**
 * The customer.
 */
from: Caller, 
/**
 * The customer hears music.
 */
held: boolean, 
/**
 * How long the call has lasted.
 */
since_ms: number, };

export type Candidate = { 
/**
 * The attribute, from `candidate:` on.
 */
candidate: string, 
/**
 * The section it is for.
 */
sdpMid: string | null, 
/**
 * The section's place.
 */
sdpMLineIndex: number | null, };

export type IceServer = { 
/**
 * Its addresses: `stun:stun.example:3478`, `turn:turn.example:3478?transport=udp`.
 */
urls: Array<string>, 
/**
 * The name to use it by, for TURN.
 */
username: string, 
/**
 * The password to use it by, for TURN.
 */
credential: string, };

export type MediaState = "connected" | "lost" | "failed";

export type CallFailure = "busy" | "no_answer" | "no_number" | "refused" | "unreachable" | "no_trunk";

export type ToPage = { "type": "hello", 
/**
 * The agent.
 */
agent: string, 
/**
 * What the agent is doing.
 */
state: AgentState, 
/**
 * Whether calls can be placed.
 */
dials: boolean, 
/**
 * Servers that help to find a way to us.
 */
ice_servers: Array<IceServer>, 
/**
 * Through one of them alone.
 */
relay_only: boolean, 
/**
 * How calls can have come out.
 */
outcomes: Array<string>, 
/**
 * The call that the agent is on; its audio comes back with [`FromPage::Resume`].
 */
call: Ongoing | null, 
/**
 * The call that the agent has just had.
 */
wraps_up: CallId | null, } | { "type": "state", 
/**
 * What.
 */
state: AgentState, } | { "type": "ring", 
/**
 * Names the ringing.
 */
ring: number, 
/**
 * Who calls.
 */
from: Caller, 
/**
 * The number called.
 */
called: string, 
/**
 * The agent who hands the call over, if one does.
 */
by: string | null, } | { "type": "stop_ringing", 
/**
 * Which ringing.
 */
ring: number, 
/**
 * Whether it rang for too long; otherwise the caller has given up.
 */
missed: boolean, } | { "type": "answer", 
/**
 * Ours.
 */
sdp: string, } | { "type": "candidate", 
/**
 * Which.
 */
candidate: Candidate, } | { "type": "talking", 
/**
 * Its id.
 */
call_id: CallId, } | { "type": "media", 
/**
 * What.
 */
state: MediaState, } | { "type": "held", 
/**
 * Music.
 */
on: boolean, } | { "type": "colleague", 
/**
 * The customer is this page's agent's; otherwise a colleague only asks for advice.
 */
in_charge: boolean, 
/**
 * Who is being rung.
 */
ringing: string | null, 
/**
 * Who is on the call as well.
 */
with: string | null, } | { "type": "supervisor", 
/**
 * Who.
 */
name: string, 
/**
 * What they do; absent when they have left.
 */
attention: Attention | null, } | { "type": "supervising", 
/**
 * Which call.
 */
call_id: CallId, 
/**
 * What.
 */
attention: Attention | null, } | { "type": "replaced", } | { "type": "call_failed", 
/**
 * Why not.
 */
reason: CallFailure, } | { "type": "over", } | { "type": "refused", 
/**
 * Why not.
 */
why: string, };

export type FromPage = { "type": "ready", } | { "type": "away", } | { "type": "accept", 
/**
 * Which ringing.
 */
ring: number, 
/**
 * The page's offer.
 */
sdp: string, } | { "type": "call", 
/**
 * Which.
 */
number: string, 
/**
 * The page's offer.
 */
sdp: string, } | { "type": "decline", 
/**
 * Which ringing.
 */
ring: number, } | { "type": "candidate", 
/**
 * Which.
 */
candidate: Candidate, } | { "type": "resume", 
/**
 * The page's offer: of a new connection, or of the one that it has, with new ICE credentials (a restart).
 */
sdp: string, } | { "type": "hold", 
/**
 * Music.
 */
on: boolean, } | { "type": "transfer", 
/**
 * An agent's name, a number of ours, or one outside.
 */
to: string, 
/**
 * To talk with the colleague first, while the customer hears music.
 */
consult: boolean, } | { "type": "complete", } | { "type": "take_back", } | { "type": "supervise", 
/**
 * Which call.
 */
call_id: CallId, 
/**
 * What to do there.
 */
attention: Attention, 
/**
 * The page's offer, to come to the call; absent to change what one does there.
 */
sdp: string | null, } | { "type": "leave", } | { "type": "hang_up", } | { "type": "ping", };
