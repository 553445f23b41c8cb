"use strict";
(() => {
  const every = 1000 * Number(document.body.dataset.refresh);
  const lost = document.getElementById("lost");
  const places = () => [...document.querySelectorAll("details")];
  const again = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const open = places().map((place) => place.open);
      const focused = places().findIndex((place) => place.contains(document.activeElement));
      document.querySelector("main").replaceWith(next.querySelector("main"));
      document.title = next.title;
      places().forEach((place, n) => { place.open = open[n] === true; });
      if (focused >= 0) places()[focused]?.querySelector("summary").focus();
      lost.hidden = true;
    } catch (error) {
      const since = document.querySelector("#now time")?.getAttribute("datetime");
      lost.textContent = `No connection to prober. This page is from ${since}.`;
      lost.hidden = false;
    }
    setTimeout(again, every);
  };
  setTimeout(again, every);
})();
