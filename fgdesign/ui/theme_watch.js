// Runs the script again when the page turns dark or light, whoever turns it: charts take their colours from the server.

export default function (component) {
  const mark = component.parentElement.querySelector('.fg-theme');
  const colour = () => getComputedStyle(mark).getPropertyValue('--st-text-color').trim();
  let known = colour();
  mark.style.cssText = 'color: var(--st-text-color); transition: color 1ms; height: 0';
  mark.ontransitionrun = () => {
    const before = known;
    known = colour();
    if (before && known !== before) component.setTriggerValue('turned', known);
  };
  return () => { mark.ontransitionrun = null; };
}
