using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Training.Evaluation;

/// <summary>One line of a comparison with a reference file.</summary>
/// <param name="Quantity">What was compared, by its name in the file.</param>
/// <param name="Difference">The largest difference: absolute for logits and losses, relative to the largest entry for gradients, the number of differing tokens for greedy decoding.</param>
/// <param name="Tolerance">The difference allowed.</param>
public sealed record ReferenceLine(string Quantity, double Difference, double Tolerance)
{
    /// <summary>Whether the difference is allowed.</summary>
    public bool Passed => Difference <= Tolerance;
}

/// <summary>Runs the inputs of a reference file (made by the Python libraries) through our implementation and compares logits, loss, gradients and greedy tokens.</summary>
public sealed class ReferenceCheck : IDisposable
{
    /// <summary>The largest difference allowed when nothing else is said.</summary>
    public const double DefaultTolerance = 2e-4;

    readonly SafetensorsFile reference, inputs;
    readonly LanguageModel model;
    readonly double tolerance;
    readonly List<ReferenceLine> lines = [];
    readonly List<TokenRow> rows = [];
    readonly List<int> starts = [];
    long width;

    ReferenceCheck(LanguageModel model, SafetensorsFile reference, SafetensorsFile inputs, double tolerance) =>
        (this.model, this.reference, this.inputs, this.tolerance) = (model, reference, inputs, tolerance);

    /// <summary>Compares a model, or an adapter on it, with a reference file.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="adapter">An adapter's folder, or null.</param>
    /// <param name="file">The reference; when null, <c>reference.safetensors</c> in the adapter's or the model's folder.</param>
    /// <param name="tolerance">The difference allowed.</param>
    public static IReadOnlyList<ReferenceLine> Run(string folder, string? adapter = null, string? file = null, double tolerance = DefaultTolerance)
    {
        var own = Path.Combine(folder, "reference.safetensors");
        var path = file ?? Path.Combine(adapter ?? folder, "reference.safetensors");
        if (!File.Exists(path)) throw new InputException($"There is no reference file {path}. Give one with --reference FILE.");
        using var model = ModelFolder.Open(folder);
        if (adapter is not null && File.Exists(Path.Combine(adapter, "polymath.json"))) TextContract.Load(adapter, Tokenizer.Load(folder));
        using var deltas = adapter is null ? null : DeltaSet.Load(model, adapter);
        var reference = SafetensorsFile.Open(path);
        // An adapter's reference is often made from the base case's inputs and does not repeat them.
        using var check = new ReferenceCheck(model, reference, reference.Entries.ContainsKey("input_ids") ? reference : SafetensorsFile.Open(own), tolerance);
        check.Compare(deltas);
        return check.lines;
    }

    void Compare(DeltaSet? deltas)
    {
        ReadRows();
        var trained = (deltas is null ? model.Weights : [.. deltas.Weights]).ToList();
        trained.ForEach(weight => weight.Trainable = true);
        using (var batch = Batch.Of(rows))
        using (NewDisposeScope())
        {
            CompareLogits(batch, "logits");
            var loss = model.NegativeLogLikelihood(batch) / batch.TargetCount;
            if (reference.Entries.ContainsKey("loss")) Add("loss", Math.Abs(loss.item<float>() - Values("loss")[0]), tolerance);
            Fused.Backpropagate(loss);
            foreach (var weight in trained) CompareGradient(weight);
        }
        CompareGreedy();
        if (deltas is null || !reference.Entries.ContainsKey("merged_logits")) return;
        deltas.Merge();
        using var again = Batch.Of(rows);
        CompareLogits(again, "merged_logits");
    }

    void ReadRows()
    {
        var shape = Entry("input_ids").Shape;
        if (shape.Length != 2) throw new InputException($"{inputs.Path}: input_ids has the shape [{string.Join(", ", shape)}]; [rows, tokens] is needed.");
        width = shape[1];
        long[] ids = Longs("input_ids"), labels = Longs("labels"), mask = inputs.Entries.ContainsKey("attention_mask") ? Longs("attention_mask") : [.. ids.Select(_ => 1L)];
        for (long r = 0; r < shape[0]; r++)
        {
            // Padding is left out; it may stand on either side.
            var kept = Enumerable.Range(0, (int)width).Select(i => r * width + i).Where(i => mask[i] != 0).ToList();
            if (kept.Count == 0) throw new InputException($"{inputs.Path}: row {r} of attention_mask hides every token.");
            starts.Add((int)(kept[0] - r * width));
            rows.Add(new TokenRow([.. kept.Select(i => (int)ids[i])], [.. kept.Select(i => labels[i] == -100 ? 0f : 1f)], $"row {r}"));
        }
        if (rows.Max(row => row.Ids.Max()) >= model.Sizes.VocabularySize) throw new InputException($"{inputs.Path}: input_ids holds a token beyond the vocabulary of {model.Sizes.VocabularySize}.");
    }

    void CompareLogits(Batch batch, string name)
    {
        if (!reference.Entries.TryGetValue(name, out var entry)) return;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var ours = model.Unembed(model.Hidden(batch)).cpu().data<float>().ToArray();
        var theirs = Values(name);
        long vocabulary = model.Sizes.VocabularySize;
        if (entry.Shape[^1] != vocabulary || theirs.Length != rows.Count * width * vocabulary)
            throw new InputException($"{reference.Path}: {name} has the shape [{string.Join(", ", entry.Shape)}]; [{rows.Count}, {width}, {vocabulary}] fits the model and its inputs.");
        var worst = 0.0;
        for (var r = 0; r < rows.Count; r++)
            for (long i = 0; i < rows[r].Length * vocabulary; i++)
                worst = Worse(worst, Math.Abs(ours[batch.Offsets[r] * vocabulary + i] - theirs[(r * width + starts[r]) * vocabulary + i]));
        Add(name, worst, tolerance);
    }

    void CompareGradient(Weight weight)
    {
        // PEFT puts the adapter's name into the name of a parameter in memory, not in files.
        var name = new[] { "grad." + weight.Name, "grad." + weight.Name.Replace(".weight", ".default.weight", StringComparison.Ordinal) }.FirstOrDefault(reference.Entries.ContainsKey);
        if (name is null) return;
        using var gradient = weight.Value.grad;
        float[] theirs = Values(name), ours = gradient is null ? new float[theirs.Length] : gradient.cpu().contiguous().data<float>().ToArray();
        double worst = 0, largest = theirs.Max(x => Math.Abs((double)x));
        for (var i = 0; i < theirs.Length; i++) worst = Worse(worst, Math.Abs(ours[i] - theirs[i]));
        Add(name, largest == 0 ? worst : worst / largest, tolerance);
    }

    void CompareGreedy()
    {
        if (!reference.Entries.ContainsKey("greedy") || !reference.Entries.ContainsKey("prompt")) return;
        int[] prompt = Ints("prompt"), greedy = Ints("greedy");
        var ours = new TokenGenerator(model, []).Generate([prompt], new SamplingSettings(Temperature: 0, MaxNewTokens: greedy.Length - prompt.Length))[0];
        Add("greedy", greedy.Skip(prompt.Length).Zip(ours).Count(pair => pair.First != pair.Second) + Math.Abs(greedy.Length - prompt.Length - ours.Length), 0);
        Add("greedy without cache", greedy.Skip(prompt.Length).Zip(WithoutCache(prompt, greedy.Length)).Count(pair => pair.First != pair.Second), 0);
    }

    List<int> WithoutCache(int[] prompt, int length)
    {
        using var frozen = no_grad();
        var row = prompt.ToList();
        while (row.Count < length)
        {
            using var scope = NewDisposeScope();
            using var batch = Batch.Of([new TokenRow([.. row], new float[row.Count], "")]);
            row.Add((int)model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces())).argmax(-1).item<long>());
        }
        return row[prompt.Length..];
    }

    void Add(string quantity, double difference, double allowed) => lines.Add(new ReferenceLine(quantity, difference, allowed));

    // A number that is none is worse than any.
    static double Worse(double a, double b) => double.IsNaN(b) ? double.PositiveInfinity : Math.Max(a, b);

    SafetensorsEntry Entry(string name) => inputs.Entries.TryGetValue(name, out var entry) ? entry : throw new InputException($"{inputs.Path} has no {name}.");

    long[] Longs(string name)
    {
        Entry(name);
        using var mapped = inputs.Map(name);
        using var wide = mapped.to(ScalarType.Int64);
        return wide.data<long>().ToArray();
    }

    int[] Ints(string name)
    {
        using var mapped = reference.Map(name);
        using var wide = mapped.to(ScalarType.Int64);
        return [.. wide.data<long>().ToArray().Select(x => (int)x)];
    }

    float[] Values(string name)
    {
        using var mapped = reference.Map(name);
        using var wide = mapped.to(ScalarType.Float32);
        return wide.data<float>().ToArray();
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        if (!ReferenceEquals(inputs, reference)) inputs.Dispose();
        reference.Dispose();
    }
}
