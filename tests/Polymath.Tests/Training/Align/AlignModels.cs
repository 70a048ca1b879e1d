using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>The models of a case, and the batches that they read.</summary>
internal sealed class AlignModels : IDisposable
{
    private readonly Dictionary<string, LanguageModel> opened = [];
    private readonly List<IDisposable> kept = [];

    public LanguageModel Policy => Of("llama");

    public LanguageModel Reference => Of("reference");

    /// <summary>A model with every weight trainable.</summary>
    public LanguageModel Of(string name)
    {
        if (opened.TryGetValue(name, out var model)) return model;
        model = opened[name] = ModelFolder.Open(AlignCase.Model(name));
        foreach (var weight in model.Weights) weight.Trainable = true;
        return model;
    }

    public Batch Lay(LanguageModel model, IReadOnlyList<TokenRow> rows)
    {
        var batch = model.Lay(rows);
        kept.Add(batch);
        return batch;
    }

    public T Keep<T>(T what) where T : IDisposable
    {
        kept.Add(what);
        return what;
    }

    /// <summary>A row of which the completion is learned.</summary>
    public static TokenRow Row(int[] prompt, int[] completion) =>
        new([.. prompt, .. completion], [.. new float[prompt.Length], .. Enumerable.Repeat(1f, completion.Length)], "case");

    public static TokenRow Row(JsonObject row, string completion = "completion", string prompt = "prompt") =>
        Row(AlignCase.Ids(row[prompt]), AlignCase.Ids(row[completion]));

    /// <summary>Chosen and rejected answers in turn.</summary>
    public static IReadOnlyList<TokenRow> Pairs(IEnumerable<JsonObject> rows) => [.. rows.SelectMany(row => new[]
    {
        Row(row, "chosen"), Row(row, "rejected", row.ContainsKey("prompt_rejected") ? "prompt_rejected" : "prompt"),
    })];

    public TokenValues Scores(LanguageModel model, IReadOnlyList<TokenRow> rows) =>
        TokenValues.LogProbabilities(model, Lay(model, rows));

    public TokenValues Frozen(LanguageModel model, IReadOnlyList<TokenRow> rows)
    {
        using var frozen = no_grad();
        return Scores(model, rows);
    }

    /// <summary>The logits of a batch's targets [targets, vocabulary].</summary>
    public static Tensor Logits(LanguageModel model, Batch batch) => model.Unembed(model.Hidden(batch).index_select(0, batch.Places));

    public void Dispose()
    {
        foreach (var item in kept) item.Dispose();
        foreach (var model in opened.Values) model.Dispose();
    }
}
