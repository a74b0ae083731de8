// The keyboard: every edit without a mouse, and the sheet that lists the keys.

const KEYS = [
  ['A or double click', 'add a node (search)'], ['Delete', 'delete the selection'], ['F2 or double click', 'rename'],
  ['C', 'connect or disconnect the node'], ['Ctrl Z · Ctrl Shift Z', 'undo · redo'], ['Ctrl C · X · V', 'copy · cut · paste'], ['Ctrl D', 'duplicate'],
  ['Ctrl A · Esc', 'select all · nothing'], ['Shift drag', 'select a box'], ['Arrows', 'go to the next node'],
  ['Shift arrows', 'move the selection'], ['F · L', 'fit the view · lay out'], ['+ · −', 'zoom'],
  ['G', 'snap to the grid on or off'], ['B · M', 'layers as one card · map'], ['P', 'first problem'], ['?', 'this list'],
];

function bindKeys(c) {
  c.root.addEventListener('keydown', (event) => typed(c, event));
  keepFocus(c);
}

function typed(c, event) {
  event.stopPropagation(); // the page has hot keys of its own
  const path = event.composedPath();
  if (path[0] && /^(INPUT|TEXTAREA)$/.test(path[0].tagName)) return;
  const ctrl = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (path[0] && path[0].tagName === 'BUTTON' && (key === 'Enter' || key === ' ')) return;
  if (pressKey(c, key, ctrl, event.shiftKey)) event.preventDefault();
}

// A rerun of the page may move the canvas in the document, which leaves the focus with nobody: the next key brings it back.
function keepFocus(c) {
  let mine = false;
  const rule = { capture: true, signal: c.ended.signal };
  const seen = (event) => { mine = event.composedPath().includes(c.root); };
  addEventListener('focusin', seen, rule);
  addEventListener('pointerdown', seen, rule);
  addEventListener('keydown', (event) => {
    if (!mine || document.activeElement !== document.body || !c.root.isConnected) return;
    c.root.focus({ preventScroll: true });
    typed(c, event);
  }, rule);
}

function pressKey(c, key, ctrl, shift) {
  const ids = c.net.getSelectedNodes();
  if (key === 'Escape') { cancel(c); return true; }
  if (key === '?') { openHelp(c); return true; }
  if (key.startsWith('Arrow')) { if (shift && c.editable) nudge(c, ids, key); else walk(c, ids, key); return true; }
  if (!ctrl && VIEW_KEYS[key]) { VIEW_KEYS[key](c); return true; }
  if (!c.editable) return false;
  if (ctrl) return pressCtrl(c, key, shift, ids);
  if (key === 'Delete' || key === 'Backspace') { removeSelected(c); return true; }
  if (key === 'F2' && ids.length === 1) { openRename(c, ids[0]); return true; }
  if (key === 'a' || key === 'Insert') { openSearch(c, c.centre()); return true; }
  if (key === 'c' && ids.length === 1) { openConnect(c, ids[0]); return true; }
  if (key === 'l') { c.edit({ op: 'layout' }); return true; }
  if (key === 'b') { c.edit({ op: 'fold' }); return true; }
  if (key === 'g') { c.snap = !c.snap; c.toast(c.snap ? 'Snap is on' : 'Snap is off'); return true; }
  if (key === 'p') { const problem = (c.data.problems || []).find((item) => item.node); if (problem) goTo(c, problem.node); return true; }
  return false;
}

const VIEW_KEYS = { m: (c) => toggleMap(c), f: (c) => c.fit(), '+': (c) => c.zoom(1.25), '=': (c) => c.zoom(1.25), '-': (c) => c.zoom(0.8), 0: (c) => c.fit() };

function pressCtrl(c, key, shift, ids) {
  const at = c.pointer;
  const actions = {
    z: () => c.edit({ op: shift ? 'redo' : 'undo' }), y: () => c.edit({ op: 'redo' }),
    c: () => ids.length && c.edit({ op: 'copy', nodes: ids }), x: () => ids.length && c.edit({ op: 'cut', nodes: ids }),
    v: () => c.edit({ op: 'paste', x: at.x, y: at.y }), d: () => ids.length && c.edit({ op: 'duplicate', nodes: ids }),
    a: () => c.select([...c.nodes.keys()]),
  };
  if (!actions[key]) return false;
  actions[key]();
  return true;
}

function cancel(c) {
  if (c.wire) { c.wire.dropped = true; c.wire.over = c.wire.reason = null; }
  const open = closePopups(c);
  if (!open && (c.selectedNodes.length || c.selectedEdges.size)) c.select([]);
  c.hideTip();
  c.root.focus({ preventScroll: true });
}

function removeSelected(c) {
  const nodes = c.net.getSelectedNodes(), edges = [...c.selectedEdges];
  if (nodes.length || edges.length) c.edit({ op: 'delete', nodes, edges });
}

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function nudge(c, ids, key) {
  const [dx, dy] = WAYS[key], positions = {};
  for (const id of ids) { const node = c.nodes.get(id); if (node) positions[id] = [node.x + dx * SNAP * 2, node.y + dy * SNAP * 2]; }
  if (ids.length) c.edit({ op: 'move', positions });
}

// Selects the nearest node in the arrow's direction; sideways distance counts double.
function walk(c, ids, key) {
  const [dx, dy] = WAYS[key], from = c.nodes.get(ids[0]);
  const others = [...c.nodes.values()].filter((node) => !from || node.id !== from.id);
  if (!others.length) return;
  const far = (node) => {
    if (!from) return node.x + node.y;
    const along = (node.x - from.x) * dx + (node.y - from.y) * dy, aside = Math.abs((node.x - from.x) * dy) + Math.abs((node.y - from.y) * dx);
    return along > 4 ? along + 2 * aside : Infinity;
  };
  const next = others.reduce((best, node) => (far(node) < far(best) ? node : best));
  if (far(next) < Infinity) goTo(c, next.id);
}

function goTo(c, id) {
  c.select([id]);
  reveal(c, id);
}

function reveal(c, id) {
  const node = c.nodes.get(id), at = node && c.net.canvasToDOM({ x: node.x, y: node.y });
  if (at && (at.x < 40 || at.y < 40 || at.x > c.stage.clientWidth - 40 || at.y > c.stage.clientHeight - 40)) c.show([id]);
}
