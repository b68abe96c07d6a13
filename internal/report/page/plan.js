"use strict";
(() => {
  const form = document.getElementById("filter");
  const changes = Array.from(document.querySelectorAll("details.change"));
  const texts = new Map(); // an agent's text, read once and only when it is searched for
  const textOf = (el) => {
    if (!texts.has(el)) texts.set(el, el.textContent.toLowerCase());
    return texts.get(el);
  };
  const apply = () => {
    const data = new FormData(form);
    const words = String(data.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const platform = data.get("platform") || "";
    const actions = new Set(data.getAll("action"));
    let shown = 0;
    for (const el of changes) {
      const ok = actions.has(el.dataset.action) &&
        (!platform || el.dataset.platform === platform) &&
        words.every((w) => textOf(el).includes(w));
      el.hidden = !ok;
      if (ok) shown++;
    }
    form.querySelector("output").textContent = shown === changes.length ? "" : `${shown} of ${changes.length} shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (e) => e.preventDefault());
  form.addEventListener("click", (e) => {
    const want = e.target.dataset && e.target.dataset.open;
    if (!want) return;
    for (const el of changes) if (!el.hidden) el.open = want === "yes";
  });
  form.hidden = changes.length === 0;
  apply(); // a reloaded page may have kept the form's values
})();
