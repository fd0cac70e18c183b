"use strict";

// Clients for Node.js, called as their READMEs do; prints what each call returns, as JSON.
//
//     NODE_PATH=node_modules node clients.js CLIENT TEXT

const HOST = "https://commentanalyzer.googleapis.com";
const SIX = ["TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT"];

function scores(answer) {
  const found = Object.entries(answer.attributeScores);
  return Object.fromEntries(found.map(([name, each]) => [name, each.summaryScore.value]));
}

// Each client is a function from a text to its calls by name.
const CLIENTS = {
  "perspective-api-client": (text) => {
    const Perspective = require("perspective-api-client");
    const client = new Perspective({ apiKey: "KEY" });
    return {
      analyze: async () => scores(await client.analyze(text)),
      "analyze, a list of attributes": async () => scores(await client.analyze(text, { attributes: SIX })),
      "analyze, an object": async () =>
        scores(await client.analyze({ comment: { text }, requestedAttributes: { THREAT: {} } })),
      "analyze, only UNSUBSTANTIAL and SPAM": () =>
        client.analyze(text, { attributes: ["unsubstantial", "spam"] }),
    };
  },
  "@conversationai/perspectiveapi-js-client": (text) => {
    const { Client } = require("@conversationai/perspectiveapi-js-client");
    const client = new Client("KEY");
    const chosen = { attributes: SIX, context: { entries: [{ text: "Before." }] }, languages: ["EN"] };
    return {
      getScores: () => client.getScores(text),
      "getScores, every option": () => client.getScores(text, chosen),
    };
  },
  googleapis: (text) => {
    const { google } = require("googleapis");
    const service = google.discoverAPI(`${HOST}/$discovery/rest?version=v1alpha1`);
    const asked = (...names) => ({
      key: "KEY",
      resource: { comment: { text }, requestedAttributes: Object.fromEntries(names.map((name) => [name, {}])) },
    });
    const suggestion = {
      comment: { text },
      attributeScores: { TOXICITY: { summaryScore: { value: 0 } } },
      clientToken: "token",
    };
    return {
      "comments.analyze": async () => scores((await (await service).comments.analyze(asked(...SIX))).data),
      "comments.suggestscore": async () =>
        (await (await service).comments.suggestscore({ key: "KEY", resource: suggestion })).data.clientToken,
      "comments.analyze, only FLIRTATION": async () => (await service).comments.analyze(asked("FLIRTATION")),
    };
  },
  "n8n-nodes-base": (text) => {
    const { GooglePerspective } = require("n8n-nodes-base/dist/nodes/Google/Perspective/GooglePerspective.node.js");
    // The host that n8n is to its nodes: parameters, and a signed HTTP request.
    const host = (attributes, options) => ({
      getInputData: () => [{ json: {} }],
      getNode: () => ({ name: "Google Perspective", type: "n8n-nodes-base.googlePerspective" }),
      continueOnFail: () => false,
      getNodeParameter: (name) =>
        ({
          operation: "analyzeComment",
          text,
          options,
          "requestedAttributesUi.requestedAttributesValues": attributes.map((attributeName) => ({
            attributeName,
            scoreThreshold: 0,
          })),
        })[name],
      helpers: {
        constructExecutionMetaData: (items) => items,
        returnJsonArray: (json) => [{ json }],
        requestOAuth2: async (_, { method, uri, headers, body }) => {
          const signed = { ...headers, Authorization: "Bearer ya29.foreign" };
          const answer = await fetch(uri, { method, headers: signed, body: JSON.stringify(body) });
          const json = await answer.json();
          if (!answer.ok) throw Object.assign(new Error(json.error.message), { statusCode: answer.status });
          return json;
        },
      },
    });
    const execute = async (attributes, options) => {
      const [[item]] = await new GooglePerspective().execute.call(host(attributes, options));
      return scores(item.json);
    };
    return {
      execute: () => execute(["toxicity"], {}),
      "execute, every attribute, a language": () =>
        execute([...SIX.map((name) => name.toLowerCase()), "flirtation", "sexually_explicit"], { languages: "en" }),
      "execute, only its first attribute": () => execute(["flirtation"], {}),
    };
  },
};

async function main([client, text]) {
  const found = {};
  for (const [call, make] of Object.entries(CLIENTS[client](text))) {
    found[call] = await make().catch((error) => ({ error: `${error.name}: ${error.message}` }));
  }
  console.log(JSON.stringify(found));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
