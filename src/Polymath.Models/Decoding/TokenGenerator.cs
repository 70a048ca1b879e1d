using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Models.Decoding;

/// <summary>
/// Generates answers to many prompts with one <see cref="Decoder"/>: a finished answer makes room for the next prompt.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="ends">The tokens that end an answer; they are not part of it.</param>
public sealed class TokenGenerator(LanguageModel model, IReadOnlyCollection<int> ends)
{
    /// <summary>Whether answers have the log-probabilities of their tokens.</summary>
    public bool Scored { get; init; }

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
    /// An answer for each prompt, in order, as soon as it and those before it are finished: <see cref="Generate"/> for large numbers of
    /// prompts.
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
        return settings.Beams > 1 ? Found(prompts, settings, cancellation) : Decoded(prompts, settings, onToken, cancellation);
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

    private IEnumerable<GeneratedTokens> Found(
        IReadOnlyList<int[]> prompts, SamplingSettings settings, CancellationToken cancellation)
    {
        for (var i = 0; i < prompts.Count; i++) yield return FindOne(prompts, i, settings, cancellation);
    }

    // All beams belong to one row.
    private GeneratedTokens FindOne(IReadOnlyList<int[]> prompts, int row, SamplingSettings settings, CancellationToken cancellation)
    {
        var search = new BeamSearch(model, ends);
        if (model.Router is not { } router) return search.Find(prompts[row], settings, cancellation);
        var before = router.RowOf;
        router.RowOf = _ => row;
        try
        {
            return search.Find(prompts[row], settings, cancellation);
        }
        finally
        {
            router.RowOf = before;
        }
    }

    private IEnumerable<GeneratedTokens> Decoded(
        IReadOnlyList<int[]> prompts, SamplingSettings settings, Func<int, int, bool>? onToken, CancellationToken cancellation)
    {
        if (prompts.Count == 0) yield break;
        var slots = Math.Min(RowsAtOnce, prompts.Count);
        using var decoder = new Decoder(
            model,
            slots,
            prompts.Max(prompt => model.PlacesFor(prompt.Length, Decoder.LimitOf(model, prompt, settings, PastContext))))
        {
            PastContext = PastContext,
        };
        var owners = new int[slots];
        var finished = new Dictionary<int, GeneratedTokens>();
        for (int next = 0, given = 0; given < prompts.Count;)
        {
            // A pass over prompts reads every weight, so that a few prompts go in together.
            if (next < prompts.Count && (next == given || decoder.Free > slots / 8))
                for (; next < prompts.Count && decoder.Free > 0; next++)
                    owners[decoder.Admit(new DecodeRequest(prompts[next], settings, next) { Ends = ends, Scored = Scored, Row = next })] =
                        next;
            foreach (var (slot, token, ended) in decoder.Step(cancellation))
            {
                var stopped = token is { } word && onToken?.Invoke(owners[slot], word) == false;
                if (ended || stopped) finished[owners[slot]] = decoder.Release(slot) with { Stopped = stopped };
            }
            for (; finished.Remove(given, out var answer); given++) yield return answer;
        }
    }
}
