// What is hard to read on the page as it is shown now: text without contrast, a page wider than the screen.
(() => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  const parse = (colour) => {
    const srgb = /^color\(srgb ([^)]+)\)$/.exec(colour);
    const numbers = (srgb ? srgb[1] : colour).match(/[\d.]+(e-?\d+)?/g).map(Number);
    const [r, g, b, a] = srgb ? [...numbers.slice(0, 3).map((n) => n * 255), numbers[3]] : numbers;
    return { rgb: [r, g, b], a: a ?? 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((n) => n / 255).map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.a === 1) return colour.rgb;
    }
    return [255, 255, 255];
  };
  const flaws = [];
  let seen = 0;
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("script, title, desc") || !element.checkVisibility()) continue;
    seen += 1;
    const style = getComputedStyle(element);
    const svg = element instanceof SVGElement;
    const front = parse(svg ? style.fill : style.color).rgb;
    const mark = svg && element.classList.contains("mark");
    const back = mark ? parse(getComputedStyle(element.previousElementSibling).fill).rgb : behind(element);
    const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) flaws.push(`contrast ${ratio.toFixed(2)}: ${element.textContent.slice(0, 40)} (${element.className.baseVal ?? element.className})`);
  }
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) flaws.push(`wider than the screen: ${root.scrollWidth} > ${root.clientWidth}`);
  return { seen, flaws };
})()
