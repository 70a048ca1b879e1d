// Makes small rank files in tiktoken's layout, and the ids that tiktoken itself gives with each vocabulary's own pattern.
// Use: npm install tiktoken@1.0.22; node make_tiktoken.cjs FOLDER TEXTS.json     (TEXTS.json: {"cases": [{"text": ...}]})
// A file holds the first 1,000 ranks of its vocabulary. Special tokens keep their published ids.
const fs = require("fs"), path = require("path"), { Tiktoken } = require("tiktoken");
const [folder, texts] = process.argv.slice(2);
const harmony = { "<|startoftext|>": 199998, "<|endoftext|>": 199999, "<|return|>": 200002, "<|start|>": 200006, "<|end|>": 200007, "<|message|>": 200008, "<|call|>": 200012 };
const vocabularies = { r50k_base: "r50k_base", p50k_edit: "p50k_edit", cl100k_base: "cl100k_base", o200k_base: "o200k_base", o200k_harmony: "o200k_base" };
for (const [name, file] of Object.entries(vocabularies)) {
  const { bpe_ranks, special_tokens, pat_str } = JSON.parse(fs.readFileSync(require.resolve(`tiktoken/encoders/${file}.json`)));
  const first = bpe_ranks.split("\n")[0].split(" ").slice(0, 1002);
  const special = name === "o200k_harmony" ? harmony : special_tokens;
  const encoder = new Tiktoken(first.join(" "), special, pat_str);
  const cases = JSON.parse(fs.readFileSync(texts)).cases.map(({ text }) => ({ text, ids: [...encoder.encode(text, "all")], ids_plain: [...encoder.encode_ordinary(text)] }));
  for (const token of Object.keys(special)) cases.push({ text: `a${token} b`, ids: [...encoder.encode(`a${token} b`, "all")] });
  fs.mkdirSync(path.join(folder, name), { recursive: true });
  fs.writeFileSync(path.join(folder, name, `${name}.tiktoken`), first.slice(2).map((token, i) => `${token} ${+first[1] + i}\n`).join(""));
  fs.writeFileSync(path.join(folder, name, "cases.json"), JSON.stringify({ cases }));
}
