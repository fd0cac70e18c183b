// The scale of the scores that Perspective's clients get: a curve from the scores on this page to theirs.

import { $, ask, element } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";

function drawn(knots) {
  const image = document.createElementNS(SVG, "svg");
  image.setAttribute("viewBox", "0 0 100 100");
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", "A score on this page, from left to right, as clients get it, from below");
  for (const [points, name] of [[[[0, 0], [1, 1]], "same"], [knots, "curve"]]) {
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("points", points.map(([x, y]) => `${100 * x},${100 - 100 * y}`).join(" "));
    line.setAttribute("class", name);
    image.append(line);
  }
  return image;
}

function figureOf([attribute, curves]) {
  const curve = curves["*"];
  const figure = element("figure");
  const error = `differs by ${curve.error.toFixed(3)}, before ${curve.error_before.toFixed(3)}`;
  const text = `${attribute}: ${curve.rows.toLocaleString()} comments, ${error}`;
  figure.append(drawn(curve.knots), element("figcaption", "quiet", text));
  return figure;
}

$("scale").addEventListener("toggle", async () => {
  if (!$("scale").open) return;
  try {
    const scale = await (await ask("/v1alpha1/scale")).json();
    $("scale-source").textContent = scale.source
      ? `Clients of the Perspective API get scores on the scale of: ${scale.source}.`
      : "Clients of the Perspective API get the scores of this page: no scale is set.";
    $("scale-curves").replaceChildren(...Object.entries(scale.curves).map(figureOf));
  } catch (error) {
    $("scale-source").textContent = error.message;
  }
});
