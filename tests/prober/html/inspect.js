// What a report's page shows, as a value: evaluated in the page by the test, never part of it.
(() => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  // As it is seen: what only describes a picture left out, digits of a number together.
  const text = (element) => {
    const seen = element.cloneNode(true);
    all(seen, "title, desc").forEach((title) => title.remove());
    return seen.textContent.replaceAll("\u202f", "").replace(/\s+/g, " ").trim();
  };
  const cells = (rows) => rows.map((row) => all(row, "th, td").map(text));
  const table = (t) => ({
    caption: t.caption ? text(t.caption) : null,
    head: cells(all(t, "thead tr"))[0],
    rows: cells(all(t, "tbody tr")),
    foot: cells(all(t, "tfoot tr")),
  });
  const tables = (root) => Object.fromEntries(all(root, "table").map((t) => [t.className, table(t)]));
  const facts = (dl) => dl ? Object.fromEntries(all(dl, "div").map((d) => [text(d.children[0]), text(d.children[1])])) : null;
  const row = (section) => ({
    heading: text(section.querySelector("h2")),
    notice: section.querySelector(".notice") ? text(section.querySelector(".notice")) : null,
    facts: facts(section.querySelector("dl.facts")),
    survived: facts(section.querySelector("dl.survived")),
    verdicts: all(section, "ul.verdicts li").map((li) => [".badge", ".expectation", ".reason"].map((s) => text(li.querySelector(s)))),
    advice: all(section, "ul.advice li").map(text),
    events: all(section, "ol.events > li").map(text),
    marks: all(section, "circle.mark[cx$='%']").length,
    lines: all(section, "svg.inner path.line").length,
    tables: tables(section),
  });
  const size = (element) => { const box = element.getBoundingClientRect(); return box.width * box.height; };
  const named = (svg) => svg.getAttribute("aria-hidden") === "true" || (svg.getAttribute("role") === "img"
    && svg.querySelector("title") && (svg.getAttribute("aria-label")
      || (svg.getAttribute("aria-labelledby") || "").split(" ").every((id) => document.getElementById(id)?.textContent)));
  const ids = all(document, "[id]").map((element) => element.id);
  const flaws = [
    ...all(document, "table").filter((t) => !t.caption).map((t) => `no caption: ${t.className}`),
    ...all(document, "th").filter((th) => !th.scope).map((th) => `no scope: ${text(th)}`),
    ...all(document, "svg:not(svg svg)").filter((svg) => !named(svg)).map((svg) => `no name: ${svg.outerHTML.slice(0, 80)}`),
    ...ids.filter((id, place) => ids.indexOf(id) !== place).map((id) => `id twice: ${id}`),
    ...all(document, "a[href^='#']").filter((a) => !document.getElementById(a.hash.slice(1))).map((a) => `leads nowhere: ${a.hash}`),
    ...all(document, ".chart").filter((svg) => size(svg) < 10000).map(() => "a picture without a size"),
    ...all(document, ".scroll").filter((region) => region.tabIndex !== 0).map(() => "a region out of the keyboard's reach"),
    ...all(document, "script:not([type='application/json']), [onclick], [style], iframe, object, form").map((e) => `not wanted: ${e.outerHTML.slice(0, 80)}`),
  ];
  return {
    title: document.title,
    headline: text(document.querySelector("h1")),
    levels: all(document, "h1, h2, h3, h4").map((h) => Number(h.tagName[1])),
    landmarks: ["header", "main", "footer", "nav"].map((name) => all(document, name).length),
    matrix: document.querySelector("table.heat") ? table(document.querySelector("table.heat")) : null,
    contents: all(document, "nav a").map(text),
    rows: all(document, "section.row").map(row),
    json: document.getElementById("prober-report").textContent,
    flaws,
  };
})()
