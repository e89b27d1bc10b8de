"use strict";
// Draws each figure once it comes into view, in the colours of the page's light or dark scheme.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Set();
  const touch = matchMedia("(pointer: coarse)").matches;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (value) => {
    if (Array.isArray(value)) return value.map(colour);
    return typeof value === "string" && value.startsWith("--") ? style(value) : value;
  };

  const painted = (given) => {
    const copy = { ...given };
    for (const part of ["marker", "line"]) {
      if (copy[part] !== undefined) copy[part] = painted(copy[part]);
    }
    if (copy.color !== undefined) copy.color = colour(copy.color);
    return copy;
  };

  const axis = (given) => ({
    gridcolor: style("--line"), zerolinecolor: style("--line"), linecolor: style("--line"), ...given,
  });

  const layout = (given) => {
    const result = {
      margin: { l: 8, r: 12, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: style("--soft") },
      hoverlabel: { bgcolor: style("--card"), bordercolor: style("--line"), font: { color: style("--ink") } },
      legend: { orientation: "h", y: -0.12, yanchor: "top", x: 0 },
      bargap: 0.18, dragmode: touch ? false : "zoom", ...given,
    };
    for (const name of Object.keys(result)) {
      if (/^[xy]axis/.test(name)) result[name] = axis(result[name]);
    }
    return result;
  };

  const draw = (element) => {
    const figure = figures[element.dataset.figure];
    drawn.add(element);
    return Plotly.react(element, figure.data.map(painted), layout(figure.layout), {
      responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };

  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      // A hidden chart does not notice that the window has changed.
      if (drawn.has(target)) Plotly.Plots.resize(target);
      else draw(target);
    }
  }, { rootMargin: "200px" });
  for (const element of document.querySelectorAll("[data-figure]")) observer.observe(element);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => document.querySelectorAll("[data-figure]").forEach(draw));
})();
