// Steps through the order of calls on a lit canvas: a bar under the drawing, what is not called yet is faint.
// Knows nothing of Streamlit; a step that is let go of is told by `onStep`.

const BEAT = 420; // milliseconds of one call while it plays

// Shows, changes or removes the bar after new data.
function refreshReplay(c) {
  const replay = c.data && c.data.replay, told = replay ? JSON.stringify([replay.order, replay.step]) : '';
  if (!replay) { stopPlaying(c); if (c.bar) c.bar.hidden = true; c.step = null; return; }
  if (!c.bar) buildBar(c);
  c.bar.hidden = false;
  c.slider.max = String(replay.order.length);
  if (told !== c.replayTold) { // another text, or another link
    const same = c.replayTold && JSON.parse(c.replayTold)[0].join() === replay.order.join();
    c.replayTold = told;
    if (!same) stopPlaying(c);
    goToCall(c, replay.step || replay.order.length, false);
  } else goToCall(c, Number(c.slider.value), false);
}

function buildBar(c) {
  c.bar = make('div', 'fg-replay', { role: 'group', 'aria-label': 'Order of calls' });
  const step = (by) => () => { stopPlaying(c); goToCall(c, Number(c.slider.value) + by, true); };
  c.playing = null;
  c.playButton = button('fg-tool', 'Play the calls in order', '▶', () => (c.playing ? stopPlaying(c) : play(c)));
  c.slider = make('input', 'fg-scrub', { type: 'range', min: '1', step: '1', 'aria-label': 'Call' });
  c.slider.addEventListener('input', () => { stopPlaying(c); goToCall(c, Number(c.slider.value), false); });
  c.slider.addEventListener('change', () => goToCall(c, Number(c.slider.value), true));
  c.callNote = make('span', 'fg-call', { 'aria-live': 'polite' });
  c.bar.append(button('fg-tool', 'Call before', '‹', step(-1)), c.playButton,
    button('fg-tool', 'Next call', '›', step(1)), c.slider, c.callNote);
  c.root.append(c.bar);
}

function play(c) {
  const last = c.data.replay.order.length;
  if (Number(c.slider.value) >= last) goToCall(c, 1, false);
  c.playButton.textContent = '❚❚';
  c.playing = setInterval(() => {
    goToCall(c, Number(c.slider.value) + 1, false);
    if (Number(c.slider.value) >= last) stopPlaying(c);
  }, BEAT);
}

function stopPlaying(c) {
  if (c.playing) clearInterval(c.playing);
  c.playing = null;
  if (c.playButton) c.playButton.textContent = '▶';
}

// step: from 1; the last one shows the whole route.
function goToCall(c, step, tell) {
  const { order, notes } = c.data.replay, place = Math.max(1, Math.min(order.length, step));
  c.slider.value = String(place);
  c.step = place >= order.length ? null : place;
  c.called = new Set(order.slice(0, place));
  c.callNote.textContent = `${place} of ${order.length}  ${notes[place - 1] || ''}`;
  c.callNote.title = notes[place - 1] || '';
  c.slider.setAttribute('aria-valuetext', c.callNote.textContent);
  c.draw();
  if (tell) c.onStep(place);
}

// A card or wire as it stands at the step.
function nodeAtStep(c, node) {
  if (c.step == null || c.called.has(node.id)) return node;
  return { ...node, state: 'waiting', gate: null };
}

function edgeAtStep(c, edge) {
  if (c.step == null || edge.state !== 'called') return edge;
  if (c.called.has(edge.from) && c.called.has(edge.to)) return edge;
  return { ...edge, state: 'waiting', gate: null };
}

function isNow(c, node) { return c.step != null && c.data.replay.order[c.step - 1] === node.id; }
