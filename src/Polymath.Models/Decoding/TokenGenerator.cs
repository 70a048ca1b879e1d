using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Models.Decoding;

/// <summary>
/// Generates answers to many prompts at once. Rows of different lengths are packed end to end; a finished row leaves the batch.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="ends">The tokens that end an answer; they are not part of it.</param>
public sealed class TokenGenerator(LanguageModel model, IReadOnlyCollection<int> ends)
{
    /// <summary>The most rows that are generated at once; the keys and values of all of them are in memory.</summary>
    public int RowsAtOnce { get; init; } = 256;

    /// <summary>
    /// Whether rows may exceed the context. This is only for models with computed positions, and only to compare with a library that allows
    /// it.
    /// </summary>
    public bool PastContext { get; init; }

    /// <summary>An answer for each prompt.</summary>
    /// <param name="prompts">The prompts' tokens, none of them empty.</param>
    /// <param name="settings">How tokens are chosen. Row i draws from its own random stream, so that an answer does not depend on the rest
    /// of the batch.</param>
    /// <param name="onToken">Receives each row's new token; returns whether the row continues. May be null.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public List<int[]> Generate(
        IReadOnlyList<int[]> prompts,
        SamplingSettings settings,
        Func<int, int, bool>? onToken = null,
        CancellationToken cancellation = default) => [.. Each(prompts, settings, onToken, cancellation)];

    /// <summary>
    /// An answer for each prompt, in order, as soon as its batch is finished: <see cref="Generate"/> for large numbers of prompts.
    /// </summary>
    /// <param name="prompts">The prompts' tokens, none of them empty.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="onToken">Receives each row's new token; returns whether the row continues. May be null.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public IEnumerable<int[]> Each(
        IReadOnlyList<int[]> prompts,
        SamplingSettings settings,
        Func<int, int, bool>? onToken = null,
        CancellationToken cancellation = default) =>
        Answers(prompts, settings, onToken, cancellation).Select(answer => answer.Tokens);

    /// <summary>An answer for each prompt as in <see cref="Each"/>, with the reason of its end.</summary>
    /// <param name="prompts">The prompts' tokens, none of them empty.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="onToken">Receives each row's new token; returns whether the row continues. May be null.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public IEnumerable<GeneratedTokens> Answers(
        IReadOnlyList<int[]> prompts,
        SamplingSettings settings,
        Func<int, int, bool>? onToken = null,
        CancellationToken cancellation = default)
    {
        Check(prompts, settings);
        return Parts(prompts, settings, onToken, cancellation).SelectMany(part => part);
    }

    /// <summary>Throws when a model cannot continue a text.</summary>
    /// <param name="model">The model.</param>
    public static void Check(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Labels is { } head)
            throw new InputException("The model has a head over labels and does not generate. "
                + $"{(head.Task == LabelTask.Tag ? "G" : "Let it label a text: polymath classify FOLDER --text TEXT; or g")}ive the "
                + "language model that it was made from.");
        if (model.Reading == Reading.Encoder)
            throw new InputException($"A {model.Configuration["model_type"]} reads in both directions and cannot continue a text. Give a "
                + "model that generates.");
    }

    private void Check(IReadOnlyList<int[]> prompts, SamplingSettings settings)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(settings);
        settings.Check();
        Check(model);
        foreach (var prompt in prompts)
            if (Unfit(prompt) is { } fault) throw new InputException(fault);
    }

    /// <summary>The reason, in words, why a prompt cannot be answered; null when it can.</summary>
    /// <param name="prompt">The prompt's tokens.</param>
    public string? Unfit(int[] prompt)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        if (prompt.Length == 0) return "The prompt has no tokens. Write some words.";
        var context = model.Sizes.ContextLength;
        if (PastContext || prompt.Length < context && model.RoomFor(prompt.Length) > 0) return null;
        return $"The prompt has {prompt.Length:N0} "
            + $"tokens{(model.VirtualTokens > 0 ? $" and {model.VirtualTokens} virtual ones before them" : "")}, the model's context "
            + $"{context:N0}: there is no room for an answer. Shorten the prompt.";
    }

    private IEnumerable<GeneratedTokens[]> Parts(
        IReadOnlyList<int[]> prompts, SamplingSettings settings, Func<int, int, bool>? onToken, CancellationToken cancellation)
    {
        var step = settings.Beams > 1 ? 1 : RowsAtOnce;
        for (var from = 0; from < prompts.Count; from += step)
        {
            var first = from;
            yield return settings.Beams > 1
                ? Routed(_ => first, () => (GeneratedTokens[])[new BeamSearch(model, ends).Find(prompts[first], settings, cancellation)])
                : Routed(slot => first + slot, () => GenerateSome(
                    prompts,
                    first,
                    Math.Min(step, prompts.Count - first),
                    settings,
                    onToken,
                    cancellation));
        }
    }

    // Adapters of single rows find their rows by the slots.
    private GeneratedTokens[] Routed(Func<int, int> row, Func<GeneratedTokens[]> generate)
    {
        if (model.Router is not { } router) return generate();
        var before = router.RowOf;
        router.RowOf = row;
        try
        {
            return generate();
        }
        finally
        {
            router.RowOf = before;
        }
    }

    private GeneratedTokens[] GenerateSome(
        IReadOnlyList<int[]> prompts,
        int from,
        int count,
        SamplingSettings settings,
        Func<int, int, bool>? onToken,
        CancellationToken cancellation)
    {
        using var frozen = no_grad();
        var answers = Enumerable.Range(0, count).Select(_ => new List<int>()).ToArray();
        var reasons = new (int? End, bool Stopped)[count];
        var randoms = Enumerable.Range(from, count).Select(i => new RandomStream(settings.Seed, "sampling", i)).ToArray();
        int Limit(int row) =>
            PastContext ? settings.MaxNewTokens : Math.Min(settings.MaxNewTokens, model.RoomFor(prompts[from + row].Length));
        var capacity = Enumerable.Range(0, count).Max(row => model.PlacesFor(prompts[from + row].Length, Limit(row)));
        using var cache = model.NewCache(count, capacity);
        var active = Enumerable.Range(0, count).ToArray();
        var fresh = Array.ConvertAll(active, row => prompts[from + row]);
        while (active.Length > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            var next = NextTokens(
                fresh,
                active,
                cache,
                settings,
                i => (model.Continued(prompts[from + active[i]]), answers[active[i]]),
                randoms);
            var still = new List<int>();
            for (var i = 0; i < active.Length; i++)
            {
                var row = active[i];
                if (ends.Contains(next[i]))
                {
                    reasons[row].End = next[i];
                    continue;
                }
                answers[row].Add(next[i]);
                reasons[row].Stopped = onToken?.Invoke(from + row, next[i]) == false;
                if (!reasons[row].Stopped && answers[row].Count < Limit(row)) still.Add(i);
            }
            fresh = [.. still.Select(i => new[] { next[i] })];
            active = [.. still.Select(i => active[i])];
        }
        return [.. answers.Zip(reasons, (answer, reason) => new GeneratedTokens([.. answer], reason.End, reason.Stopped))];
    }

    private int[] NextTokens(
        int[][] fresh,
        int[] rows,
        KeyValueCache cache,
        SamplingSettings settings,
        Func<int, (int[] Prompt, List<int> Answer)> history,
        RandomStream[] randoms)
    {
        using var scope = NewDisposeScope();
        using var batch = cache.Lengths[rows[0]] == 0
            ? model.Begin(fresh, rows)
            : Batch.Continue(fresh, rows, Array.ConvertAll(rows, row => cache.Lengths[row]));
        using var places = batch.LastPlaces();
        var logits = model.Unembed(model.Hidden(batch, cache).index_select(0, places));
        LogitCheck.Require(logits, history(0).Answer.Count + 1);
        var plain = settings.RepetitionPenalty == 1 && settings.PresencePenalty == 0;
        if (plain && settings.Temperature == 0) return TokenWeights.Greatest(logits);
        var weights = plain ? TokenWeights.Of(logits, settings.Temperature) : Penalised(logits, rows.Length, settings, history);
        var next = new int[rows.Length];
        for (var i = 0; i < next.Length; i++)
            next[i] = Sampler.Choose(
                weights.AsSpan(i * model.Sizes.VocabularySize, model.Sizes.VocabularySize), settings, ref randoms[rows[i]]);
        return next;
    }

    private float[] Penalised(Tensor logits, int rows, SamplingSettings settings, Func<int, (int[] Prompt, List<int> Answer)> history)
    {
        var values = TokenWeights.Of(logits, 0);
        for (var i = 0; i < rows; i++)
        {
            var (prompt, answer) = history(i);
            Sampler.Penalise(values.AsSpan(i * model.Sizes.VocabularySize, model.Sizes.VocabularySize), prompt, answer, settings);
        }
        return TokenWeights.Of(tensor(values, [rows, model.Sizes.VocabularySize]), settings.Temperature);
    }
}
