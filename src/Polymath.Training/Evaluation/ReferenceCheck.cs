using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Models.Parts;
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
/// <param name="Difference">The largest difference: absolute for logits and losses, relative to the largest entry for gradients, the number
/// of differing tokens for greedy decoding.</param>
/// <param name="Tolerance">The difference allowed.</param>
/// <param name="Note">An assumption that was necessary, or null.</param>
public sealed record ReferenceLine(string Quantity, double Difference, double Tolerance, string? Note = null)
{
    /// <summary>Whether the difference is allowed.</summary>
    public bool Passed => Difference <= Tolerance;
}

/// <summary>
/// Runs the inputs of a reference file (made by the Python libraries) through our implementation and compares logits, loss, gradients and
/// greedy tokens.
/// </summary>
public sealed class ReferenceCheck : IDisposable
{
    /// <summary>The largest difference that is allowed by default.</summary>
    public const double DefaultTolerance = 2e-4;

    private readonly SafetensorsFile reference, inputs;
    private readonly LanguageModel model;
    private readonly double tolerance;
    private readonly List<ReferenceLine> lines = [];
    private readonly List<int[]> rows = [];
    // For each row, the places of its tokens in input_ids.
    private readonly List<long[]> places = [];
    private long width, answerWidth;
    private double? largestGradient;

    private ReferenceCheck(LanguageModel model, SafetensorsFile reference, SafetensorsFile inputs, double tolerance) =>
        (this.model, this.reference, this.inputs, this.tolerance) = (model, reference, inputs, tolerance);

    /// <summary>Compares a model, or an adapter on it, with a reference file.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="adapter">An adapter's folder, or null.</param>
    /// <param name="file">The reference; when null, <c>reference.safetensors</c> in the adapter's or the model's folder.</param>
    /// <param name="tolerance">The difference allowed.</param>
    /// <param name="allowed">Names of weights that the files may have although the model does not need them.</param>
    /// <param name="anyBase">Whether the adapter may have been trained on another model.</param>
    /// <param name="tell">Receives notes where the reading differs from what the model's folder seems to say.</param>
    public static IReadOnlyList<ReferenceLine> Run(
        string folder,
        string? adapter = null,
        string? file = null,
        double tolerance = DefaultTolerance,
        IReadOnlyCollection<string>? allowed = null,
        bool anyBase = false,
        Action<string>? tell = null)
    {
        var own = Path.Combine(folder, "reference.safetensors");
        var path = file ?? Path.Combine(adapter ?? folder, "reference.safetensors");
        if (!File.Exists(path)) throw new InputException($"There is no reference file {path}. Give one with --reference FILE.");
        var lines = Compare(
            folder,
            adapter,
            path,
            own,
            tolerance,
            capped: true,
            allowed,
            anyBase,
            tell,
            out var caps);
        if (!caps || lines.All(line => line.Passed)) return lines;
        // A reference that transformers made with its default attention lacks the cap. Both ways are computed, and the note names the one
        // that agrees.
        var uncapped = Compare(
            folder,
            adapter,
            path,
            own,
            tolerance,
            capped: false,
            allowed,
            anyBase,
            null,
            out _);
        return uncapped.All(line => line.Passed) ? [.. uncapped.Select(line => line with { Note = Uncapped })] : lines;
    }

    /// <summary>The note of a comparison that agrees only without the cap on scores.</summary>
    public const string Uncapped = "scores not capped, as in transformers' sdpa";

    private static List<ReferenceLine> Compare(
        string folder,
        string? adapter,
        string path,
        string own,
        double tolerance,
        bool capped,
        IReadOnlyCollection<string>? allowed,
        bool anyBase,
        Action<string>? tell,
        out bool caps)
    {
        using var model = ModelFolder.Open(folder, allowed);
        foreach (var note in model.Notes) tell?.Invoke(note);
        caps = model.CapsScores;
        if (!capped) model.CapsScores = false;
        // A layout that was trained with other tokens does not fit. A folder with weights only has no tokens to compare with.
        if (adapter is not null && File.Exists(Path.Combine(adapter, "polymath.json"))
            && File.Exists(Path.Combine(folder, Tokenizer.FileName)))
            TextContract.Load(adapter, Tokenizer.Load(folder));
        using var deltas = adapter is null ? null : DeltaSet.Load(model, adapter, anyBase);
        var reference = SafetensorsFile.Open(path);
        // An adapter's reference is often made from the base case's inputs and does not repeat them.
        using var check = new ReferenceCheck(
            model, reference, reference.Entries.ContainsKey("input_ids") ? reference : SafetensorsFile.Open(own), tolerance);
        check.Compare(deltas);
        return check.lines;
    }

    private void Compare(DeltaSet? deltas)
    {
        ReadRows();
        var trained = deltas is null ? model.Weights.Select(weight => (weight.Name, weight)).ToList() : [.. deltas.Trained];
        trained.ForEach(item => item.weight.Trainable = true);
        // PEFT's file of a prompt holds the output of its encoder, so the encoder's own gradients are not compared.
        var lost = deltas is not null && trained.Exists(item => item.Name == "prompt_embeddings")
            && reference.Entries.ContainsKey("grad.prompt_encoder.default.mlp_head.0.weight")
                | reference.Entries.ContainsKey("grad.prompt_encoder.default.transform.0.weight");
        using (var batch = NewBatch())
        using (NewDisposeScope())
        {
            CompareLogits(batch, "logits");
            var loss = Loss(batch);
            // PEFT adds it when it knows the task; for any other model its own step is skipped.
            if (deltas?.Configuration.Has("task_type") == true && deltas.Penalty() is { } penalty) loss = loss + penalty;
            if (reference.Entries.ContainsKey("loss")) Add("loss", Math.Abs(loss.item<float>() - Values("loss")[0]), tolerance);
            // Rows without a trained token have no gradient.
            if (loss.requires_grad) Fused.Backpropagate(loss);
            foreach (var name in reference.Entries.Keys.Where(name => name.StartsWith("grad.", StringComparison.Ordinal))
                .Order(StringComparer.Ordinal))
                if (!name.StartsWith("grad.prompt_encoder.", StringComparison.Ordinal) || !lost) CompareGradient(name, trained);
        }
        CompareGreedy();
        if (deltas is not null && reference.Entries.ContainsKey("merged_logits"))
        {
            deltas.Merge();
            using var again = NewBatch();
            CompareLogits(again, "merged_logits");
        }
        if (lines.Count == 0)
            throw new InputException($"{reference.Path} holds nothing to compare: no logits, loss, gradients or greedy tokens.");
    }

    private void ReadRows()
    {
        var shape = Entry("input_ids").Shape;
        if (shape.Length != 2)
            throw new InputException($"{inputs.Path}: input_ids has the shape [{string.Join(", ", shape)}]; [rows, tokens] is needed.");
        width = shape[1];
        long[] ids = Longs("input_ids"),
            mask = inputs.Entries.ContainsKey("attention_mask") ? Longs("attention_mask") : [.. ids.Select(_ => 1L)];
        if (mask.Length != ids.Length)
            throw new InputException($"{inputs.Path}: attention_mask has {mask.Length} entries, input_ids {ids.Length}.");
        if (ids.Any(id => id < 0 || id >= model.Sizes.VocabularySize))
            throw new InputException($"{inputs.Path}: input_ids holds a token outside the vocabulary of {model.Sizes.VocabularySize}.");
        for (long r = 0; r < shape[0]; r++)
        {
            // Padding is left out; it may be on either side.
            var kept = Enumerable.Range(0, (int)width).Select(i => r * width + i).Where(i => mask[i] != 0).ToArray();
            if (kept.Length == 0) throw new InputException($"{inputs.Path}: row {r} of attention_mask hides every token.");
            places.Add(kept);
            rows.Add(Array.ConvertAll(kept, i => (int)ids[i]));
        }
    }

    // The meaning of the labels depends on the model: a label for a row or a token, a masked word, the answer to a source, or the next
    // token.
    private Batch NewBatch()
    {
        if (model.Labels is not null) return model.Lay([.. rows.Select((row, r) => new TokenRow(row, new float[row.Length], $"row {r}"))]);
        var labels = Longs("labels");
        if (model.Reading == Reading.EncoderDecoder)
        {
            answerWidth = Entry("labels").Shape[^1];
            var answers = labels.Chunk((int)answerWidth).Select((row, r) =>
            {
                // The decoder reads the labels shifted right, after the token that starts an answer; a place without a label is read as
                // padding.
                var begin = model.StartOf([.. row.Where(label => label != -100).Select(label => (int)label)]);
                int[] read = [begin, .. row.Select(label => label == -100 ? (int)(model.Configuration["pad_token_id"] ?? 0)! : (int)label)];
                return new TokenRow(read, [0, .. row.Select(label => label == -100 ? 0f : 1f)], $"row {r}");
            });
            return model.LayPairs(rows, [.. answers]);
        }
        if (labels.Length != rows.Count * width)
            throw new InputException($"{inputs.Path}: labels has {labels.Length} entries; [{rows.Count}, {width}] is needed.");
        return model.Reading == Reading.Encoder
            ? model.LayMasked(rows, [.. places.Select(kept => Array.ConvertAll(kept, i => (int)labels[i]))])
            : model.Lay(
                [.. rows.Select((row, r) => new TokenRow(row, Array.ConvertAll(places[r], i => labels[i] == -100 ? 0f : 1f), $"row {r}"))]);
    }

    private Tensor Loss(Batch batch)
    {
        if (model.Labels is not { } head) return TrainingLoss.Of(model, batch) / batch.TargetCount;
        using var targets = inputs.Map("labels").clone();
        var scores = head.Scores(model.Hidden(batch), batch);
        var wanted = head.Task == LabelTask.Tag
            ? targets.flatten().index_select(0, tensor(places.SelectMany(kept => kept).ToArray()))
            : targets;
        // A prefix has states but no labels.
        if (head.Task == LabelTask.Tag && batch.Prompt is { } prompt)
            scores = scores.index_select(0, tensor(
                Enumerable.Range(0, batch.Tokens).Where(i => batch.Positions[i] >= prompt.Length).Select(i => (long)i).ToArray()));
        var (loss, count) = head.Loss(scores, wanted);
        return loss / count;
    }

    private void CompareLogits(Batch batch, string name)
    {
        if (!reference.Entries.TryGetValue(name, out var entry)) return;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var hidden = model.Hidden(batch);
        var ours = (model.Labels is { } head ? head.Scores(hidden, batch) : model.Unembed(hidden))
            .cpu().contiguous().data<float>().ToArray();
        var theirs = Values(name);
        int outputs = model.Labels?.Labels ?? model.Sizes.VocabularySize;
        // For each of our logits rows, the row in the reference: padding is left out, and an answer's last token predicts nothing.
        List<long> at = model switch
        {
            { Labels.Task: not LabelTask.Tag } => [.. Enumerable.Range(0, rows.Count)],
            { Reading: Reading.EncoderDecoder } => [.. Enumerable.Range(0, batch.Tokens).Select(i => AnswerPlace(batch, i))],
            _ => [.. places.SelectMany(kept => WithPrompt(kept, entry.Shape[^2]))],
        };
        // Some heads of one output give numbers of rows without a dimension for it.
        var wide = outputs == 1 || entry.Shape[^1] == outputs;
        if (!wide || ours.Length != at.Count * (long)outputs || theirs.Length <= at.Max() * outputs)
            throw new InputException($"{reference.Path}: {name} has the shape [{string.Join(", ", entry.Shape)}], which does not fit the "
                + $"{rows.Count} rows of input_ids and the model's {outputs} outputs.");
        var worst = 0.0;
        for (var i = 0; i < at.Count; i++)
            for (var j = 0; at[i] >= 0 && j < outputs; j++)
                worst = Worse(worst, Math.Abs(ours[i * outputs + j] - theirs[at[i] * outputs + j]));
        Add(name, worst, tolerance);
    }

    private long AnswerPlace(Batch batch, int token)
    {
        var lead = batch.Prompt?.Length ?? 0;
        var place = batch.Positions[token] - lead;
        return place < 0 || place == answerWidth ? -1 : token / (answerWidth + 1 + lead) * answerWidth + place;
    }

    // Here, virtual tokens come before the row. In the reference, those of a prompt have logits of their own, and those of a prefix have
    // none.
    private IEnumerable<long> WithPrompt(long[] kept, long length)
    {
        if (model.Prompt is not { IsOn: true } prompt) return kept;
        var row = kept[0] / width;
        var own = length == width + prompt.Length;
        return Enumerable.Range(0, prompt.Length).Select(i => own ? row * length + i : -1)
            .Concat(kept.Select(place => own ? row * length + prompt.Length + place % width : place));
    }

    private void CompareGradient(string name, List<(string Name, Weight Weight)> trained)
    {
        var theirs = Values(name);
        var ours = Gradient(name["grad.".Length..], trained);
        // A gradient without a weight here, or with a weight of another size, counts as a difference.
        double worst = ours?.Length == theirs.Length ? 0 : double.PositiveInfinity,
            largest = theirs.Length == 0 ? 0 : theirs.Max(x => Math.Abs((double)x));
        for (var i = 0; i < theirs.Length && double.IsFinite(worst); i++) worst = Worse(worst, Math.Abs(ours![i] - theirs[i]));
        // Some gradients are zero except for rounding (a key's bias does not change attention's weights): a gradient below a thousandth of
        // the largest one is compared relative to that thousandth.
        var scale = Math.Max(largest, 1e-3 * LargestGradient());
        Add(name, scale == 0 ? worst : worst / scale, tolerance);
    }

    private double LargestGradient() =>
        largestGradient ??= reference.Entries.Keys.Where(name => name.StartsWith("grad.", StringComparison.Ordinal))
            .Max(name => Values(name).Select(x => Math.Abs((double)x)).DefaultIfEmpty().Max());

    private float[]? Gradient(string name, List<(string Name, Weight Weight)> trained)
    {
        static float[] Of(Weight weight)
        {
            using var gradient = weight.Value.grad;
            return gradient is null || weight.Count == 0 ? new float[weight.Count] : gradient.cpu().contiguous().data<float>().ToArray();
        }
        // In memory, but not in files, PEFT adds the adapter's name to the name of a parameter and has another name for a prompt's vectors;
        // transformers has another name for Mixtral's block in memory.
        var inFile = name == "prompt_encoder.default.embedding.weight"
            ? "prompt_embeddings"
            : name.Replace(".modules_to_save.default", "", StringComparison.Ordinal).Replace(".default", "", StringComparison.Ordinal);
        var own = trained.FindIndex(item => item.Name == name || item.Name == inFile || item.Name + ".weight" == inFile
            || item.Name.Replace(".block_sparse_moe.", ".mlp.", StringComparison.Ordinal) == name
            || name == item.Name.Replace("model.", "model.language_model.", StringComparison.Ordinal));
        if (own >= 0) return Of(trained[own].Weight);
        // A tied head may have its gradient under the head's name, if its module stands first.
        if (model.Tokens.IsTied && name == model.Tokens.HeadMap.Name + ".weight") return Of(model.Tokens.Embedding);
        // In memory transformers stacks the experts' weights.
        var stack = model.Projections.Where(map => map.Stack?.Name == name)
            .OrderBy(map => map.Stack!.Expert).ThenBy(map => map.Stack!.Part).ToList();
        return stack.Count == 0 ? null : [.. stack.SelectMany(map => Of(map.Weight))];
    }

    private void CompareGreedy()
    {
        if (!reference.Entries.ContainsKey("greedy") || !reference.Entries.ContainsKey("prompt")) return;
        int[] prompt = Ints("prompt"), greedy = Ints("greedy");
        // After its first context, the rotary angles of transformers' model depend on what it read before. Its answers are not a function
        // of the prompt, so there is nothing to compare.
        if (Math.Max(greedy.Length, width) > model.StretchesBeyond) return;
        // An encoder-decoder's answer is separate from the prompt, after the token that starts it.
        var start = model.Reading == Reading.EncoderDecoder ? 1 : prompt.Length;
        var wanted = greedy.Skip(start).ToArray();
        // A reference may end early, at an end token.
        var ours = new TokenGenerator(model, []) { PastContext = true }
            .Generate([prompt], new SamplingSettings(Temperature: 0, MaxNewTokens: wanted.Length))[0];
        Add("greedy", wanted.Zip(ours).Count(pair => pair.First != pair.Second) + Math.Abs(wanted.Length - ours.Length), 0);
        Add("greedy without cache", wanted.Zip(WithoutCache(prompt, wanted.Length)).Count(pair => pair.First != pair.Second), 0);
    }

    private List<int> WithoutCache(int[] prompt, int count)
    {
        using var frozen = no_grad();
        var answer = new List<int>();
        while (answer.Count < count)
        {
            using var scope = NewDisposeScope();
            using var batch = Whole(prompt, answer);
            answer.Add((int)model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces())).argmax(-1).item<long>());
        }
        return answer;
    }

    private Batch Whole(int[] prompt, List<int> answer)
    {
        static TokenRow Row(int[] ids) => new(ids, new float[ids.Length], "");
        if (model.Reading != Reading.EncoderDecoder) return model.Lay([Row([.. prompt, .. answer])]);
        using var begin = model.Begin([prompt], [0]);
        return model.LayPairs([prompt], [Row([.. begin.TokenIds, .. answer])]);
    }

    private void Add(string quantity, double difference, double allowed) => lines.Add(new ReferenceLine(quantity, difference, allowed));

    // NaN counts as the largest difference.
    private static double Worse(double a, double b) => double.IsNaN(b) ? double.PositiveInfinity : Math.Max(a, b);

    private WeightEntry Entry(string name) =>
        inputs.Entries.TryGetValue(name, out var entry) ? entry : throw new InputException($"{inputs.Path} has no {name}.");

    private long[] Longs(string name)
    {
        Entry(name);
        using var mapped = inputs.Map(name);
        using var wide = mapped.to(ScalarType.Int64);
        return wide.data<long>().ToArray();
    }

    private int[] Ints(string name)
    {
        using var mapped = reference.Map(name);
        using var wide = mapped.to(ScalarType.Int64);
        return [.. wide.data<long>().ToArray().Select(x => (int)x)];
    }

    private float[] Values(string name)
    {
        using var mapped = reference.Map(name);
        using var wide = mapped.to(ScalarType.Float32);
        return wide.numel() == 0 ? [] : wide.data<float>().ToArray();
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        if (!ReferenceEquals(inputs, reference)) inputs.Dispose();
        reference.Dispose();
    }
}
