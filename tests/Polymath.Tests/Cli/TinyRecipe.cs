using System.Text.Json;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>A folder with a recipe of four short stages over a few hundred made-up lines.</summary>
internal sealed class TinyRecipe : IDisposable
{
    private static readonly RecipeBuilder tiny = RecipeBuilder.Of("""
        name: tiny
        description: Four short stages over made-up lines.
        seed: 5
        model: {family: llama, hiddenSize: 32, intermediateSize: 48, layers: 1, heads: 2, contextLength: 48}
        tokenizer: {kind: character}
        data:
          lines: {files: lines.jsonl, split: {validation: 0.1, test: 0.1}}
        rewards:
          plain: {kind: pattern, match: {'*': '[^aeiou]*'}}
        abilities:
          reading: {kind: perplexity, stage: read, rows: 20}
          kinds: {kind: accuracy, stage: tell, rows: 20}
          form: {kind: reward, stage: write, reward: plain, rows: 6, maxNewTokens: 8}
          variety: {kind: distinct, stage: write, rows: 6, maxNewTokens: 8}
        stages:
          - name: read
            kind: pretrain
            data: lines
            steps: 8
            optimizer: {rate: 1e-2}
            schedule: {kind: cosine, warmup: 2}
            batch: {tokens: 256, microTokens: 100, fill: false}
            evaluate: {every: 4, abilities: [reading], samples: 1}
            checkpoint: {every: 3}
          - name: write
            kind: finetune
            prompt: "say {name}"
            answer: "{text}"
            data: lines
            steps: 6
            method: {kind: freeze, train: ["model.layers.*", model.norm.weight]}
            optimizer: {rate: 5e-3}
            batch: {tokens: 256}
            checkpoint: {every: 3}
          - name: tell
            kind: task
            label: kind
            data: lines
            steps: 7
            method:
              kind: prompt
              template: "{text} is {mask}"
              verbalizer: {words: {soft: s, hard: h}}
              train: {kind: lora, r: 2, loraDropout: 0.2, targetModules: all-linear}
            optimizer: {rate: 1e-2}
            batch: {tokens: 256}
            evaluate: {every: 2, abilities: [kinds]}
            checkpoint: {every: 3, best: kinds}
          - name: please
            kind: align
            prompt: "say {name}"
            data: lines
            rewards: {plain: 1}
            rollout: {rounds: 2, prompts: 12, answers: 6, maxNewTokens: 8}
            steps: 6
            optimizer: {rate: 1e-3}
            batch: {tokens: 256}
            checkpoint: {every: 3}
        """);

    private readonly ScratchFolder folder = new();

    public TinyRecipe(Func<RecipeBuilder, RecipeBuilder>? change = null, int lines = 300)
    {
        folder.Write("tiny.yaml", (change?.Invoke(tiny) ?? tiny).Text);
        folder.Write("lines.jsonl", string.Concat(Enumerable.Range(0, lines).Select(Line)));
    }

    public string Path => folder.Path;

    public string At(params string[] parts) => folder.At(parts);

    public void Write(string name, string text) => folder.Write(name, text);

    /// <summary>Runs the recipe into a folder next to it.</summary>
    public CliResult Run(string run, params string[] more) => CliProgram.Run(Path, ["run", "tiny.yaml", "--run-dir", run, .. more]);

    public string Hash(string run)
    {
        var result = CliProgram.Run(Path, "model", "hash", run);
        Assert.Equal((0, ""), (result.Code, result.Error));
        Assert.Matches("^[0-9a-f]{64}\n$", result.Out);
        return result.Out.Trim();
    }

    private static string Line(int i)
    {
        string[] soft = ["ama", "ela", "ilu", "ona"], hard = ["bat", "dok", "gup", "tek"];
        var name = $"{soft[i % 4]}{hard[i / 4 % 4]}{i}";
        var text = i % 2 == 0 ? $"{soft[i / 2 % 4]} {soft[i / 3 % 4]} {soft[i / 5 % 4]}." : $"{hard[i / 2 % 4]} {hard[i / 3 % 4]}!";
        return JsonSerializer.Serialize(new { name, text, kind = i % 2 == 0 ? "soft" : "hard" }) + "\n";
    }

    public void Dispose() => folder.Dispose();
}

/// <summary>One uninterrupted run for several test classes.</summary>
public sealed class FinishedRun : IDisposable
{
    public const string Collection = "finished run";

    internal TinyRecipe Recipe { get; } = new();

    internal CliResult Result { get; }

    internal string Hash { get; }

    public FinishedRun()
    {
        Result = Recipe.Run("whole");
        Assert.True(Result.Code == 0, Result.All);
        Hash = Recipe.Hash("whole");
    }

    public void Dispose() => Recipe.Dispose();
}

[CollectionDefinition(FinishedRun.Collection)]
public sealed class FinishedRunCollection : ICollectionFixture<FinishedRun>;
