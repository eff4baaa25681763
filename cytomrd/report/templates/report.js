(function () {
  "use strict";
  // Filter the table by typing; every word must occur somewhere in the row.
  var box = document.getElementById("filter"), count = document.getElementById("filter-count");
  var rows = Array.prototype.slice.call(document.querySelectorAll("#batch tbody tr"));
  var keys = document.getElementById("keys");
  box.parentNode.hidden = false;
  keys.parentNode.hidden = false;
  function filter() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean), shown = 0;
    rows.forEach(function (row) {
      var text = row.textContent.toLowerCase();
      row.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
      if (!row.hidden) { shown += 1; }
    });
    count.textContent = words.length ? shown + " of " + rows.length : "";
  }
  box.addEventListener("input", filter);
  // The way back leads to a row: one that the filter hides is shown again.
  function showTarget() {
    var row = rows.filter(function (r) { return "#" + r.id === location.hash; })[0];
    if (row && row.hidden) { box.value = ""; filter(); row.scrollIntoView(); }
  }
  window.addEventListener("hashchange", showTarget);

  // Save a drawing as a file of its own: the page's colours (the light ones) are written into it.
  var STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap",
    "stroke-linejoin", "paint-order", "text-anchor", "font-family", "font-size", "font-weight"];
  function save(svg) {
    var root = document.documentElement, copy = svg.cloneNode(true);
    // What the page draws once for many plots is put into the file.
    copy.querySelectorAll("use").forEach(function (use) {
      var shapes = document.getElementById(use.getAttribute("href").slice(1)).cloneNode(true);
      use.parentNode.replaceChild(shapes, use);
    });
    svg.insertAdjacentElement("afterend", copy);
    root.classList.add("light");
    copy.querySelectorAll("*").forEach(function (shape) {
      var style = getComputedStyle(shape);
      STYLES.forEach(function (name) { shape.setAttribute(name, style.getPropertyValue(name)); });
      shape.removeAttribute("id");
    });
    root.classList.remove("light");
    copy.remove();
    copy.querySelectorAll("*").forEach(function (shape) { shape.removeAttribute("class"); });
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.removeAttribute("class");
    var ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    ground.setAttribute("width", "100%");
    ground.setAttribute("height", "100%");
    ground.setAttribute("fill", "#fff");
    copy.insertBefore(ground, copy.firstChild);
    var text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" + new XMLSerializer().serializeToString(copy);
    hand(text, "image/svg+xml", [sampleOf(svg), svg.getAttribute("aria-label")], ".svg");
  }
  function hand(text, kind, names, ending) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: kind }));
    link.download = (names.filter(Boolean).join(" ") || "plot").replace(/[^\p{L}\p{N}+ .-]+/gu, "_").slice(0, 80) + ending;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }
  function sampleOf(element) {
    var article = element.closest("article.sample"), title = article && article.querySelector("h2");
    return title ? title.textContent : "";
  }
  function saver(word, title, act) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = word;
    button.title = title;
    button.setAttribute("aria-label", title);
    button.addEventListener("click", act);
    return button;
  }
  document.querySelectorAll("figure").forEach(function (figure) {
    var svg = figure.querySelector("svg.plot");
    if (!svg) { return; }
    figure.appendChild(saver("SVG", "Save as SVG: " + svg.getAttribute("aria-label"), function () { save(svg); }));
  });

  // Save a table as shown: what a spreadsheet would run begins with an apostrophe.
  function cellText(cell) {
    var parts = cell.querySelectorAll(":scope > span");
    var text = parts.length > 1 ? Array.prototype.map.call(parts, function (p) { return p.textContent; }).join("; ")
      : cell.textContent;
    text = text.replace(/\s+/g, " ").trim();
    if (/^[=+\-@]/.test(text)) { text = "'" + text; }
    return /[",\n]/.test(text) ? "\"" + text.replace(/"/g, "\"\"") + "\"" : text;
  }
  document.querySelectorAll("main table").forEach(function (table) {
    var name = table.getAttribute("aria-label") || "table";
    var button = saver("CSV", "Save as CSV: " + name, function () {
      var lines = Array.prototype.map.call(table.rows, function (row) {
        return Array.prototype.map.call(row.cells, cellText).join(",");
      });
      hand("\ufeff" + lines.join("\n") + "\n", "text/csv", [sampleOf(table), name], ".csv");
    });
    button.classList.add("of-table");
    table.parentNode.insertAdjacentElement("afterend", button);
  });

  // A table wider than the page is scrolled with the arrow keys too.
  function reach() {
    document.querySelectorAll(".scroll").forEach(function (box) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", box.firstElementChild.getAttribute("aria-label") || "table");
      } else { ["tabindex", "role", "aria-label"].forEach(function (a) { box.removeAttribute(a); }); }
    });
  }
  window.addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
  reach();

  // Keys: / to the filter, [ and ] through the samples; a person who dictates can turn them off.
  var samples = Array.prototype.slice.call(document.querySelectorAll("article.sample"));
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (event.target === box) {
      if (event.key === "Escape") { box.value = ""; filter(); box.blur(); }
      return;
    }
    if (!keys.checked) { return; }
    if (event.key === "/") { event.preventDefault(); box.focus(); return; }
    if (event.key !== "[" && event.key !== "]") { return; }
    var tops = samples.map(function (s) { return s.getBoundingClientRect().top; });
    var next = event.key === "]" ? tops.findIndex(function (t) { return t > 20; })
      : tops.length - 1 - tops.slice().reverse().findIndex(function (t) { return t < -20; });
    if (next >= 0 && next < samples.length) { samples[next].scrollIntoView(); }
  });

  // On paper every table stands open.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { if (!d.open) { d.open = true; d.dataset.shut = "1"; } });
  });
  window.addEventListener("afterprint", function () {
    document.querySelectorAll("details[data-shut]").forEach(function (d) { d.open = false; delete d.dataset.shut; });
  });
}());
