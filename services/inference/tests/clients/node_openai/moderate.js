// Prints what OpenAI's client returns for two texts, and the error that it raises for an image.
const { default: OpenAI } = require("openai");

const [address, ...texts] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${address}/openai/v1`, apiKey: "any", maxRetries: 0 });

async function main() {
  const moderation = await client.moderations.create({ model: "omni-moderation-latest", input: texts });
  const image = [{ type: "image_url", image_url: { url: "https://example.com/image.png" } }];
  const refused = await client.moderations.create({ input: image }).catch((error) => error);
  const { status, message } = refused;
  console.log(JSON.stringify({ moderation, refused: { name: refused.constructor.name, status, message } }));
}

main();
