using System.Runtime.CompilerServices;
using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

/// <summary>Recipes for tests: the shipped one, and a small one that uses every part.</summary>
internal static class SampleRecipes
{
    public const string Hash = "KtYARvV7CWNtax0na9+Jn6PlhGgSoid7PWyDzXI4KsCEm2odZcqEQyval5koaLygZnM/EQ3lfJ//25K8p3uHNg==";

    public const string Whole = $$$"""
        name: sample
        model: {family: llama, hiddenSize: 48, intermediateSize: 96, layers: 2, heads: 4, keyValueHeads: 2, contextLength: 64}
        tokenizer: {kind: character}
        chat: {convert: [simple]}
        tables:
          simple: {kind: conversion, files: npm:tables@1.2.3/dict/*.js, sha512: {{{Hash}}}}
          tone: {kind: characterClasses, marks: marked, marksField: marks, texts: poems, textField: text, key: id,
            classes: {a: level, b: oblique}}
        data:
          poems:
            files: npm:poems@2.0.1/json/*.json
            sha512: {{{Hash}}}
            fields: {id: id, title: title, author: author, text: {path: paragraphs, join: ""}}
            where: [{field: text, minimumLength: 1}]
            distinct: text
            split: {by: title, validation: 0.1, test: 0.1}
          marked: {files: npm:poems@2.0.1/marks/*.json, sha512: {{{Hash}}}, fields: {id: id, marks: strains}}
          short: {view: poems, where: {field: text, maximumLength: 40}, fields: {form: "short {title}"}}
          shorter: {view: short}
        rewards:
          form: {kind: pattern, by: form, match: {short: 'a+'}, lacks: 'b'}
          tones: {kind: characterClasses, table: tone, positions: [2, 4]}
        abilities:
          reading: {kind: perplexity, stage: read}
          form: {kind: reward, stage: write, reward: form}
          variety: {kind: distinct, stage: write}
          author: {kind: accuracy, stage: tell}
        rounds: {count: 2, stages: [write]}
        stages:
          - name: read
            kind: pretrain
            text: "{title} {text}"
            data: poems
            steps: 20
            optimizer: {rate: 3e-3}
            schedule: {kind: cosine, warmup: 5}
            batch: {tokens: 512, microTokens: 256, maxLength: 64}
          - name: write
            kind: finetune
            prompt: "Write {title} as {form}"
            answer: "{text}"
            data: [short, shorter]
            epochs: 1.5
            optimizer: {rate: 1e-3}
            method: {kind: freeze, train: "model.layers.1.*"}
            evaluate: {every: 5, abilities: [form, variety]}
            checkpoint: {every: 5, best: form}
          - name: tell
            kind: task
            label: author
            data: poems
            steps: 10
            optimizer: {rate: 1e-3}
            method:
              kind: prompt
              template: "{text} by {mask}"
              verbalizer: {words: {Li: [L, i], Du: D}}
              train: {kind: lora, r: 4}
          - name: please
            kind: align
            prompt: "Write {title} as {form}"
            data: short
            rewards: {form: 1, tones: 0.5}
            rollout: {rounds: 2}
            steps: 8
            optimizer: {rate: 1e-4}
        """;

    /// <summary>The small recipe, for tests to change.</summary>
    public static RecipeBuilder Sample { get; } = RecipeBuilder.Of(Whole);

    public static string Folder { get; } = Path.Combine(Root(), "recipes");

    public static string Tang { get; } = Path.Combine(Folder, "tang.yaml");

    public static RecipeReading Read(string text, bool small = false, params string[] overrides) =>
        RecipeReader.Parse(
            text,
            "sample.yaml",
            Folder,
            small,
            overrides);

    /// <summary>The line, from 1, in which a piece of text stands.</summary>
    public static int LineOf(string text, string piece) =>
        text[..text.IndexOf(piece, StringComparison.Ordinal)].Count(character => character == '\n') + 1;

    private static string Root([CallerFilePath] string here = "")
    {
        var starts = new[] { AppContext.BaseDirectory, Path.GetDirectoryName(here)! };
        return starts.SelectMany(Upward).First(folder => File.Exists(Path.Combine(folder, "recipes", "tang.yaml")));
    }

    private static IEnumerable<string> Upward(string start)
    {
        for (var folder = start; folder is not null; folder = Path.GetDirectoryName(folder))
            yield return folder;
    }
}
