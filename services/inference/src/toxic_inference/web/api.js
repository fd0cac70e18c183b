// Requests to the service, with the API key and error messages.

// Labels are those of the version that answers: "off_topic" is shown as "Off topic".
export const titleOf = (label) => (label[0].toUpperCase() + label.slice(1)).replaceAll("_", " ");

// A language's own name: "Español" for "es".
export function languageName(code) {
  if (!code || code === "und") return "Unknown language";
  const name = new Intl.DisplayNames([code], { type: "language" }).of(code);
  return name[0].toLocaleUpperCase(code) + name.slice(1);
}

export const $ = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function showError(box, message) {
  box.textContent = message;
  box.hidden = !message;
}

// The key stays in this tab, and is asked for when the service first asks.
export const apiKey = () => sessionStorage.getItem("key") || "";

export function askForKey() {
  if (!$("key-form").hidden) return; // whoever is typing it already isn't disturbed
  $("key-form").hidden = false;
  $("key").focus();
}

// What errors mean for somebody at this page; the API's own messages name members of requests.
const WORDS = {
  overloaded: "The service is busy. Try again in a few seconds.",
  no_version_ready: "No model is ready yet. Try again in a few seconds.",
  deadline_exceeded: "Scoring took too long. Try again, or with a shorter text.",
  invalid_text: "There is nothing to score: type a comment with letters, signs or emoji.",
  body_too_large: "This is larger than the service takes. Send it in parts.",
  too_many_texts: "These are more comments than the service takes at once.",
  unauthenticated: "The API key is missing or not valid. Enter another one above.",
  forbidden: "Only an operator may do that: with an operator's key, or on the machine of the service.",
  feedback_full: "There is no room for more corrections. Ask whoever runs the service.",
  feedback_unavailable: "Corrections can't be kept at the moment. Try again later.",
  unknown_feedback: "The correction or text was removed already.",
  unknown_review: "The text was decided or deleted meanwhile. Skip it.",
  unknown_job: "The file isn't on the server any more. Choose it again.",
  disk_full: "The service's disk is full. Try again later.",
  jobs_full: "Too many files are waiting. Try again later.",
  jobs_unavailable: "Files can't be scored at the moment. Try again later.",
  inference_failed: "The model failed at this text. Whoever runs the service finds the reason in its log.",
};

export function problemOf(text, status) {
  if (status === 401) askForKey();
  try {
    const { code, message } = JSON.parse(text).error;
    if (code === "text_too_long") {
      const [, limit] = /limit is ([\d,]+)/.exec(message) || [];
      return `The comment is too long${limit ? `: the limit is ${limit} bytes` : ""}. Split or shorten it.`;
    }
    return WORDS[code] || message;
  } catch {
    return `The server answered with status ${status}. Try again later.`;
  }
}

export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (apiKey()) headers["x-api-key"] = apiKey();
  if (options.json !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: options.method || "GET",
      headers,
      body: options.json === undefined ? undefined : JSON.stringify(options.json),
    });
  } catch {
    throw new Error("The server can't be reached. Check the connection, and try again.");
  }
  if (!response.ok) {
    const error = new Error(problemOf(await response.text(), response.status));
    error.status = response.status;
    throw error;
  }
  return response;
}
