// The review: one text at a time, judged by keyboard.

import { $, ask, element, languageName, showError, titleOf } from "./api.js";
import "./frame.js";

const REASONS = {
  contradiction: "Corrections contradict each other",
  shadow: "Champion and challenger decide differently",
  uncertain: "A score is near its threshold",
};
const OUTCOMES = {
  waiting: "Kept. Another opinion is needed.",
  disputed: "Kept. The opinions differ, so a third one is needed.",
  decided: "Decided, and filed as a correction.",
};

let texts = []; // what is to be judged; the first one is on the page
let after; // where the next page begins
let busy = false;

const boxes = () => [...$("labels").querySelectorAll("input")];

function labelBox([name, seen], index) {
  const label = element("label", "check");
  const box = element("input");
  box.type = "checkbox";
  box.name = name;
  const score = seen.score === undefined ? "" : ` ${seen.score.toFixed(3)}`;
  const model = seen.decision ? "⚑ " : "";
  label.append(box, element("kbd", "", String(index + 1)), ` ${titleOf(name)} `);
  label.append(element("span", "quiet", `${model}${score}`.trim()));
  return label;
}

function factsOf(text) {
  const facts = [REASONS[text.reason]];
  if (text.language) facts.push(languageName(text.language));
  if (text.model_version) facts.push(`version ${text.model_version}`);
  if (text.opinions) facts.push(`${text.opinions} of ${text.disputed.length ? 3 : 2} opinions`);
  if (text.disputed.length) facts.push(`reviewers differ on ${text.disputed.map(titleOf).join(", ")}`);
  return facts.join(" · ");
}

function show(done = "") {
  const [text] = texts;
  $("item").hidden = !text;
  if (!text) {
    $("status").textContent = `${done} There is no text to judge.`.trim();
    return;
  }
  $("status").textContent = done;
  $("reason").textContent = factsOf(text);
  $("text").textContent = text.text;
  if (text.language) $("text").lang = text.language;
  else $("text").removeAttribute("lang");
  $("labels").replaceChildren(...Object.entries(text.labels).map(labelBox));
  $("text").focus();
}

async function load(done) {
  const query = after ? `?after=${encodeURIComponent(after)}` : "";
  const page = await (await ask(`/review${query}`)).json();
  texts = page.texts;
  after = page.after;
  show(done);
  if (!page.enabled) {
    $("status").textContent = "This service keeps no texts for the review. Set INFERENCE_REVIEW_TEXTS to keep some.";
  }
}

async function showAgreement() {
  const { labels } = await (await ask("/review/agreement")).json();
  const number = (value) => (value === undefined ? "none" : value.toFixed(2));
  $("agreement").hidden = !Object.keys(labels).length;
  $("agreement").querySelector("tbody").replaceChildren(
    ...Object.entries(labels).map(([name, label]) => {
      const row = element("tr");
      const head = element("th", "", titleOf(name));
      head.scope = "row";
      const cells = [number(label.kappa), `${Math.round(100 * label.agreed)} %`, label.texts.toLocaleString()];
      row.append(head, ...cells.map((cell) => element("td", "number", cell)));
      return row;
    }),
  );
}

// Runs one action at a time; its result is announced, and the next text is shown.
async function act(action) {
  if (busy) return;
  busy = true;
  showError($("error"), "");
  try {
    const done = await action();
    texts.shift();
    if (texts.length || !after) show(done);
    else await load(done);
  } catch (error) {
    showError($("error"), error.message);
  } finally {
    busy = false;
  }
}

const judge = () =>
  act(async () => {
    const labels = Object.fromEntries(boxes().map((box) => [box.name, box.checked]));
    const response = await ask(`/review/${texts[0].digest}`, { method: "POST", json: { labels } });
    const done = OUTCOMES[(await response.json()).outcome];
    await showAgreement();
    return done;
  });

const skip = () => act(async () => "Skipped.");

const remove = () =>
  act(async () => {
    if (!window.confirm("Delete this text everywhere, corrections of it included?")) throw new Error("Not deleted.");
    await ask(`/review/${texts[0].digest}`, { method: "DELETE" });
    return "Deleted everywhere.";
  });

$("opinion-form").addEventListener("submit", (event) => {
  event.preventDefault();
  judge();
});
$("skip").addEventListener("click", skip);
$("delete").addEventListener("click", remove);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (!$("shortcuts").checked || $("item").hidden || event.target.closest("#key-form")) return;
  const box = boxes()[Number(event.key) - 1];
  if (box) box.checked = !box.checked;
  else if (event.key === "Enter" && !event.target.closest("button, a, input")) judge();
  else if (event.key === "s") skip();
  else if (event.key === "d") remove();
  else return;
  event.preventDefault();
});

async function start() {
  showError($("error"), "");
  after = undefined;
  try {
    await load();
    await showAgreement();
  } catch (error) {
    showError($("error"), error.message);
  }
}

document.addEventListener("key", start);
start();
