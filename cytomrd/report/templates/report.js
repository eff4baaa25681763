(function () {
  "use strict";
  // Filter the table by typing; every word must occur somewhere in the row.
  var box = document.getElementById("filter"), count = document.getElementById("filter-count");
  var rows = Array.prototype.slice.call(document.querySelectorAll("#batch tbody tr"));
  box.parentNode.hidden = false;
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

  // Save a drawing as a file of its own: the page's colours (the light ones) are written into it.
  var STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap",
    "stroke-linejoin", "paint-order", "text-anchor", "font-family", "font-size", "font-weight"];
  function save(svg) {
    var root = document.documentElement, copy = svg.cloneNode(true);
    root.classList.add("light");
    var from = svg.querySelectorAll("*"), to = copy.querySelectorAll("*");
    for (var i = 0; i < from.length; i += 1) {
      var style = getComputedStyle(from[i]);
      STYLES.forEach(function (name) { to[i].setAttribute(name, style.getPropertyValue(name)); });
      to[i].removeAttribute("class");
    }
    root.classList.remove("light");
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.removeAttribute("class");
    var text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" + new XMLSerializer().serializeToString(copy);
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    link.download = (svg.getAttribute("aria-label") || "plot").replace(/[^A-Za-z0-9+ .-]+/g, "_").slice(0, 80) + ".svg";
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }
  document.querySelectorAll("figure").forEach(function (figure) {
    var svg = figure.querySelector("svg.plot");
    if (!svg) { return; }
    var button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = "SVG";
    button.title = "Save this plot as SVG";
    button.addEventListener("click", function () { save(svg); });
    figure.appendChild(button);
  });

  // Keys: / to the filter, [ and ] through the samples.
  var samples = Array.prototype.slice.call(document.querySelectorAll("article.sample"));
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (event.target === box) {
      if (event.key === "Escape") { box.value = ""; filter(); box.blur(); }
      return;
    }
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
