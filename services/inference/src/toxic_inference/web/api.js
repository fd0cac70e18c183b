// Requests to the service, with the API key and error messages.

// Labels are those of the version that answers: "off_topic" is shown as "Off topic".
export const titleOf = (label) => (label[0].toUpperCase() + label.slice(1)).replaceAll("_", " ");

// A language's own name: "Español" for "es".
export function languageName(code) {
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

export function problemOf(text, status) {
  if (status === 401) askForKey();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `The server answered with status ${status}.`;
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
    throw new Error("The server can't be reached.");
  }
  if (!response.ok) {
    const error = new Error(problemOf(await response.text(), response.status));
    error.status = response.status;
    throw error;
  }
  return response;
}
