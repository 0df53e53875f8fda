// A WHIP or WHEP client in a page of Sotto's: what an integrator would write with fetch (RFC 9725).
//
// begin(AT, 'sendonly' | 'recvonly') gives the status; candidates are trickled, each in a request of its own.
window.client = {
  async begin(at, direction) {
    const peer = new RTCPeerConnection();
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    // Without a microphone in use a browser hides its addresses.
    const microphone = await navigator.mediaDevices.getUserMedia({ audio });
    const [track] = microphone.getAudioTracks();
    peer.addTransceiver(direction === 'sendonly' ? track : 'audio', { direction });
    // Chromium decodes what somebody plays.
    peer.ontrack = ({ track }) => {
      this.speaker = new Audio();
      this.speaker.srcObject = new MediaStream([track]);
      void this.speaker.play();
    };
    const found = [];
    peer.onicecandidate = ({ candidate }) => candidate && found.push(candidate.candidate);
    const offer = await peer.createOffer();
    const answer = await fetch(at, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: offer.sdp,
    });
    if (answer.status !== 201) return answer.status;
    await peer.setLocalDescription(offer);
    await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    this.session = answer.headers.get('location');
    const tag = answer.headers.get('etag');
    const ufrag = /a=ice-ufrag:(\S+)/.exec(offer.sdp)[1];
    while (peer.iceGatheringState !== 'complete') await new Promise((then) => setTimeout(then, 20));
    this.trickled = [];
    for (const candidate of found) {
      const body = `a=ice-ufrag:${ufrag}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=${candidate}\r\n`;
      const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': tag };
      this.trickled.push((await fetch(this.session, { method: 'PATCH', headers, body })).status);
    }
    while (peer.connectionState !== 'connected') {
      if (['failed', 'closed'].includes(peer.connectionState)) return peer.connectionState;
      await new Promise((then) => setTimeout(then, 20));
    }
    return answer.status;
  },
  /** The status that ends the session. */
  async end() {
    return (await fetch(this.session, { method: 'DELETE' })).status;
  },
};
