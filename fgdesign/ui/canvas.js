// The bridge between Streamlit and the canvas: keeps one Canvas per place on the page over all reruns.
// The canvas itself comes with a second, constant component, which may arrive later than this one.

const live = new WeakMap();

export default function (component) {
  const host = component.parentElement;
  const known = live.get(host) || {};
  live.set(host, known);
  known.component = component;
  const show = () => {
    if (!known.canvas) {
      known.box = host.querySelector('.fg-host');
      const style = document.createElement('style');
      style.textContent = globalThis.fgCanvas.css;
      host.prepend(style);
      known.canvas = new globalThis.fgCanvas.Canvas(known.box, {
        send: (batch) => known.component.setTriggerValue('ops', batch),
        onSelect: (ids) => known.component.setStateValue('selected', ids),
        onStep: (call) => known.component.setStateValue('step', call),
      });
    }
    known.canvas.update(known.component.data);
  };
  if (globalThis.fgCanvas) show();
  else if (!known.waiting) {
    known.waiting = true;
    addEventListener('fg-canvas', show, { once: true });
  }
  return () => {
    if (known.canvas) known.canvas.destroy();
    live.delete(host);
  };
}
