// Runs the script again when the page turns dark or light, whoever turns it: charts take their colours from the server.

export default function (component) {
  const mark = component.parentElement.querySelector('.fg-theme');
  mark.style.cssText = 'color: var(--st-text-color); transition: color 1ms; height: 0';
  mark.ontransitionrun = () => component.setTriggerValue('turned', getComputedStyle(mark).getPropertyValue('--st-text-color'));
  return () => { mark.ontransitionrun = null; };
}
