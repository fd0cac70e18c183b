"use strict";

// The client has Google's address built in, and takes its HTTP library from here: change the address, and only it.
const axios = require("axios");
const Perspective = require("perspective-api-client");

const [address, text] = process.argv.slice(2);
axios.interceptors.request.use((request) => ({
  ...request,
  url: request.url.replace("https://commentanalyzer.googleapis.com", address),
}));

async function main() {
  const client = new Perspective({ apiKey: "any" });
  const attributes = ["toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat"];
  const scores = await client.analyze(text, { attributes });
  const refused = await client
    .analyze(text, { attributes: ["flirtation"] })
    .catch((error) => ({ name: error.name, message: error.message, status: error.response.status }));
  console.log(JSON.stringify({ scores, refused }));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
