// One comment: its scores, the words that drove them, and what a moderator says of it.

import { $, ask, element, languageName, showError, titleOf } from "./api.js";
import { checkHealth } from "./health.js";

const LEAST_INFLUENCE = 0.02;

let shown = null; // what the scores on the page belong to

function scoreRow(name, score, decision, threshold) {
  const item = element("li", decision ? "flagged" : "");
  const percent = Math.round(score * 100);
  const track = element("div", "track");
  const from = threshold === undefined ? "" : `, flagged from ${threshold.toFixed(3)}`;
  item.title = `${titleOf(name)}: ${score.toFixed(3)}${from}`;
  track.setAttribute("role", "meter");
  track.setAttribute("aria-label", titleOf(name));
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  track.setAttribute("aria-valuenow", String(percent));
  track.setAttribute("aria-valuetext", `${score.toFixed(3)}${from}`);
  const bar = element("div", "bar");
  bar.style.width = `${Math.max(score * 100, 1)}%`;
  track.append(bar);
  if (threshold !== undefined) {
    const mark = element("div", "threshold");
    mark.style.left = `${threshold * 100}%`;
    track.append(mark);
  }
  item.append(
    element("span", "", titleOf(name)),
    track,
    element("span", "number", score.toFixed(3)),
    element("span", "decision", decision ? "⚑ flagged" : "below"),
  );
  return item;
}

function verdictOf(result) {
  const flagged = Object.keys(result.decisions).filter((name) => result.decisions[name]);
  if (flagged.length) return `Flagged as ${flagged.map((name) => titleOf(name).toLowerCase()).join(", ")}.`;
  if (result.low_confidence) return "Not decided: the model knows too little of this text. Let people read it.";
  const below = Object.keys(result.thresholds).every((name) => result.scores[name] < result.thresholds[name]);
  return below ? "Not flagged: every score is below its threshold." : "Not flagged, by a list of the policy.";
}

function languageOf(result, stated) {
  if (stated) return `${languageName(result.language)}, as chosen`;
  if (result.language === "und") return "Unknown language";
  if (result.language_confidence === undefined) return `${languageName(result.language)}, assumed`;
  return `${languageName(result.language)}, identified with ${Math.round(100 * result.language_confidence)} % confidence`;
}

function noteOf(result) {
  if (result.language === "und") {
    return "The comment is in none of the languages that this service can identify. Don't rely on its scores.";
  }
  if (!result.unevaluated_language) return "";
  return `The model wasn't evaluated for ${languageName(result.language)}. Don't rely on its scores.`;
}

function facts(answer, result, milliseconds, stated) {
  const language = `${languageOf(result, stated)} · `;
  const windows = result.windows > 1 ? ` in ${result.windows} windows` : "";
  const cut = result.truncated ? " · its end wasn't read" : "";
  return (
    `${language}${answer.model_name}, version ${answer.model_version} · ${Math.round(milliseconds)} ms · ` +
    `${result.tokens} tokens${windows}${cut}`
  );
}

function showScores(answer, milliseconds, stated) {
  const [result] = answer.results;
  $("scores").replaceChildren(
    ...Object.entries(result.scores).map(([name, score]) =>
      scoreRow(name, score, result.decisions[name], result.thresholds[name])),
  );
  $("verdict").textContent = verdictOf(result);
  $("verdict").className = Object.values(result.decisions).some(Boolean) ? "verdict flagged" : "verdict";
  $("language-note").textContent = noteOf(result);
  $("language-note").hidden = !noteOf(result);
  $("facts").textContent = facts(answer, result, milliseconds, stated);
  $("words").hidden = true;
  $("result").hidden = false;
}

function offerCorrection(result) {
  $("correct-labels").replaceChildren(
    ...Object.entries(result.decisions).map(([name, decision]) => {
      const label = element("label", "check");
      const box = element("input");
      box.type = "checkbox";
      box.name = name;
      box.checked = decision;
      label.append(box, ` ${titleOf(name)}`);
      return label;
    }),
  );
  $("consent").checked = false;
  $("correction").open = false;
  $("file-correction").disabled = false;
  showError($("correct-error"), "");
  $("correct-done").hidden = true;
  $("undo").hidden = true;
}

// Offsets count code points, so that the text is cut as an array of them.
function showWords(text, spans, name) {
  const characters = Array.from(text);
  const parts = [];
  let at = 0;
  for (const span of spans) {
    const influence = span.influence[name];
    if (influence < LEAST_INFLUENCE) continue;
    parts.push(characters.slice(at, span.begin).join(""));
    const mark = element("mark", "", characters.slice(span.begin, span.end).join(""));
    mark.style.setProperty("--strength", `${Math.round(Math.min(influence * 2, 1) * 100)}%`);
    mark.title = `${titleOf(name)} falls by ${influence.toFixed(3)} without it`;
    parts.push(mark);
    at = span.end;
  }
  parts.push(characters.slice(at).join(""));
  $("words-text").replaceChildren(...parts);
  $("words-title").textContent = at
    ? `What drives ${titleOf(name).toLowerCase()}`
    : `No single word drives ${titleOf(name).toLowerCase()}`;
  $("words").hidden = false;
}

async function explain(asked) {
  const language = asked.language ? { lang: asked.language } : {};
  try {
    const response = await ask("/predict", { method: "POST", json: { text: asked.text, spans: true, ...language } });
    const [result] = (await response.json()).results;
    if (shown !== asked) return; // another comment was scored meanwhile
    const [name] = Object.entries(result.scores).reduce((best, entry) => (entry[1] > best[1] ? entry : best));
    showWords(asked.text, result.spans, name);
  } catch {
    // The scores stand without; whoever wants the reason asks again.
  }
}

function setRunning(running) {
  $("score").disabled = running;
  $("score").textContent = running ? "Scoring…" : "Score";
  // What is announced, #running and #verdict, is outside: screen readers wait for a busy part.
  $("result").setAttribute("aria-busy", String(running));
  $("running").textContent = running ? "Scoring the comment…" : "";
}

async function scoreComment(event) {
  event.preventDefault();
  setRunning(true);
  showError($("comment-error"), "");
  // Nothing of this page is kept without consent, also by a service that keeps texts for the review.
  const request = { text: $("comment").value, thresholds: true, do_not_store: true };
  if ($("language").value) request.lang = $("language").value;
  const started = performance.now();
  try {
    const answer = await (await ask("/predict", { method: "POST", json: request })).json();
    const [result] = answer.results;
    shown = {
      text: request.text, language: result.language, version: answer.model_version, scores: result.scores,
    };
    showScores(answer, performance.now() - started, Boolean(request.lang));
    checkHealth(answer.model_version);
    offerCorrection(result);
    explain(shown);
  } catch (error) {
    $("result").hidden = true;
    $("verdict").textContent = "";
    showError($("comment-error"), error.message);
  } finally {
    setRunning(false);
  }
}
for (const code of $("language").dataset.languages.split(" ")) {
  const option = element("option", "", languageName(code));
  option.value = code;
  $("language").append(option);
}
$("comment-form").addEventListener("submit", scoreComment);
for (const example of document.querySelectorAll("#examples button")) {
  example.addEventListener("click", () => {
    $("comment").value = example.textContent;
    $("language").value = "";
    $("comment-form").requestSubmit();
  });
}
$("comment").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("comment-form").requestSubmit();
});

async function fileCorrection(event) {
  event.preventDefault();
  const boxes = [...$("correct-labels").querySelectorAll("input")];
  const correction = {
    labels: Object.fromEntries(boxes.map((box) => [box.name, box.checked])),
    consent: $("consent").checked,
    model_version: shown.version,
    scores: shown.scores,
    source: "page",
  };
  if (correction.consent) correction.text = shown.text;
  if (shown.language) correction.language = shown.language;
  $("file-correction").disabled = true;
  showError($("correct-error"), "");
  try {
    const answer = await (await ask("/feedback", { method: "POST", json: correction })).json();
    $("correct-done").textContent = answer.text_kept ? "Filed, with the text." : "Filed; the text wasn't kept.";
    $("correct-done").hidden = false;
    $("undo").dataset.id = answer.id;
    $("undo").hidden = false;
  } catch (error) {
    $("file-correction").disabled = false;
    showError($("correct-error"), error.message);
  }
}

async function undoCorrection() {
  showError($("correct-error"), "");
  $("undo").disabled = true;
  try {
    await ask(`/feedback/${encodeURIComponent($("undo").dataset.id)}`, { method: "DELETE" });
    $("undo").hidden = true;
    $("correct-done").textContent = "The correction was removed.";
    $("file-correction").disabled = false;
    $("file-correction").focus();
  } catch (error) {
    showError($("correct-error"), error.message);
  } finally {
    $("undo").disabled = false;
  }
}
$("undo").addEventListener("click", undoCorrection);
$("correct-form").addEventListener("submit", fileCorrection);
