// Runs the script again when the page turns dark or light, whoever turns it: charts take their colours from the server.

const known = new WeakMap(); // the colour of text that a place on the page had last

export default function (component) {
  const host = component.parentElement, mark = host.querySelector('.fg-theme');
  const look = () => {
    const before = known.get(host), now = getComputedStyle(mark).getPropertyValue('--st-text-color').trim();
    known.set(host, now);
    if (before && now !== before) component.setTriggerValue('turned', now);
  };
  mark.style.cssText = 'color: var(--st-text-color); transition: color 1ms; height: 0';
  mark.ontransitionrun = look;
  look();
}
