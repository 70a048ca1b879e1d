using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Decoding;

/// <summary>
/// Generates answers in slots: <see cref="Admit"/> puts a prompt into a free slot, <see cref="Step"/> gives every answer one more token,
/// <see cref="Release"/> frees the slot. Answers end and others join at any step, and each has its own settings. A row's tokens are those
/// that it gets alone. Prompts that are admitted together and are equal are read once; their rows share what was read.
/// </summary>
public sealed class Decoder : IDisposable
{
    // The most tokens of prompts that are read in one pass.
    private const int PromptTokens = 8192;

    private readonly LanguageModel model;
    private readonly KeyValueCache cache;
    private readonly DecodedRow?[] rows;
    private long admitted;

    /// <summary>A decoder with empty slots.</summary>
    /// <param name="model">The model.</param>
    /// <param name="slots">The most answers at once; memory is used as they grow.</param>
    /// <param name="capacity">The most tokens of a slot: see <see cref="LanguageModel.PlacesFor"/>.</param>
    public Decoder(LanguageModel model, int slots, int capacity)
    {
        ArgumentNullException.ThrowIfNull(model);
        (this.model, cache, rows) = (model, model.NewCache(slots, capacity), new DecodedRow?[slots]);
    }

    /// <summary>
    /// Whether rows may exceed the context. This is only for models with computed positions, and only to compare with a library that allows
    /// it.
    /// </summary>
    public bool PastContext { get; init; }

    /// <summary>How many tokens of prompts were read; equal prompts that are admitted together count once.</summary>
    public long PromptTokensRead { get; private set; }

    /// <summary>How many answers can be admitted now.</summary>
    public int Free => Enumerable.Range(0, rows.Length).Count(IsFree);

    // A slot whose prompt other slots still read is not free.
    private bool IsFree(int slot) => rows[slot] is null && cache.ReadersOf(slot) == 0;

    /// <summary>The most tokens of an answer.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">The prompt's tokens.</param>
    /// <param name="settings">The settings.</param>
    /// <param name="pastContext">Whether the row may exceed the context.</param>
    internal static int LimitOf(LanguageModel model, int[] prompt, SamplingSettings settings, bool pastContext) =>
        pastContext ? settings.MaxNewTokens : Math.Min(settings.MaxNewTokens, model.RoomFor(prompt.Length));

    /// <summary>Puts a prompt into a free slot; the next step reads it.</summary>
    /// <param name="request">The answer that is asked for.</param>
    /// <returns>The slot.</returns>
    /// <exception cref="InvalidOperationException">No slot is free, or the row does not fit into one.</exception>
    public int Admit(DecodeRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        var slot = Enumerable.Range(0, rows.Length).Where(IsFree).Append(-1).First();
        if (slot < 0) throw new InvalidOperationException($"All {rows.Length} slots of the decoder are in use.");
        var limit = LimitOf(model, request.Prompt, request.Settings, PastContext);
        if (limit < 1 || model.PlacesFor(request.Prompt.Length, limit) > cache.Capacity)
            throw new InvalidOperationException($"A prompt of {request.Prompt.Length:N0} tokens and {request.Settings.MaxNewTokens:N0} new "
                + $"ones do not fit: a slot holds {cache.Capacity:N0} tokens, the model's context {model.Sizes.ContextLength:N0}.");
        rows[slot] = new DecodedRow(
            request,
            slot,
            admitted++,
            limit,
            model.Continued(request.Prompt));
        return slot;
    }

    /// <summary>Reads the prompts that were admitted, and gives every answer that is not complete one more token.</summary>
    /// <param name="cancellation">Stops before the step, or between the passes of several prompts.</param>
    /// <returns>The new tokens, in the order in which the rows were admitted.</returns>
    public IReadOnlyList<DecodedToken> Step(CancellationToken cancellation = default)
    {
        cancellation.ThrowIfCancellationRequested();
        using var frozen = no_grad();
        var open = rows.OfType<DecodedRow>().Where(row => !row.Ended).OrderBy(row => row.Order).ToList();
        Routed(() =>
        {
            // Before the prompts, so that a row that is read now does not get two tokens.
            var going = open.Where(row => cache.Lengths[row.Slot] > 0).ToList();
            foreach (var part in Apart(going, row => cache.Lengths[row.Slot] + 1)) Continue(part);
            foreach (var part in Prompts(open.Except(going)))
            {
                cancellation.ThrowIfCancellationRequested();
                Begin(part);
            }
        });
        return [.. open.Select(row => new DecodedToken(row.Slot, row.End is null ? row.Tokens[^1] : null, row.Ended))];
    }

    /// <summary>Ends the answer in a slot and frees the slot.</summary>
    /// <param name="slot">The slot.</param>
    /// <returns>The answer so far.</returns>
    public GeneratedTokens Release(int slot)
    {
        var row = rows[slot] ?? throw new InvalidOperationException($"Slot {slot} has no answer.");
        rows[slot] = null;
        cache.Clear(slot);
        return new GeneratedTokens([.. row.Tokens], row.End) { Scores = row.Request.Scored ? [.. row.Scores] : null };
    }

    // Adapters of single rows find their rows by the slots.
    private void Routed(Action pass)
    {
        if (model.Router is not { } router)
        {
            pass();
            return;
        }
        var before = router.RowOf;
        router.RowOf = slot => rows[slot]!.Request.Row;
        try
        {
            pass();
        }
        finally
        {
            router.RowOf = before;
        }
    }

    // The angles of some models depend on the longest row of a batch, so a row that is so long is read alone.
    private IEnumerable<List<DecodedRow>> Apart(List<DecodedRow> some, Func<DecodedRow, int> length)
    {
        var together = some.Where(row => !(length(row) > model.StretchesBeyond)).ToList();
        if (together.Count > 0) yield return together;
        foreach (var row in some.Except(together)) yield return [row];
    }

    // Rows whose prompts are read in one pass, the rows of equal prompts in groups.
    private IEnumerable<List<List<DecodedRow>>> Prompts(IEnumerable<DecodedRow> fresh)
    {
        // Rows that are routed differ in what their adapters read.
        var groups = model.Router is null
            ? fresh.GroupBy(row => row.Request.Prompt, new EqualTokens()).Select(group => group.ToList()).ToList()
            : [.. fresh.Select(row => new List<DecodedRow> { row })];
        int Length(DecodedRow row) => model.PlacesFor(row.Request.Prompt.Length, 0);
        foreach (var part in Apart([.. groups.Select(group => group[0])], Length))
        {
            var pass = new List<List<DecodedRow>>();
            var taken = 0;
            foreach (var group in part.Select(leader => groups.Find(group => group[0] == leader)!))
            {
                if (pass.Count > 0 && taken + Length(group[0]) > PromptTokens)
                {
                    yield return pass;
                    (pass, taken) = ([], 0);
                }
                pass.Add(group);
                taken += Length(group[0]);
            }
            yield return pass;
        }
    }

    private void Begin(List<List<DecodedRow>> groups)
    {
        using var scope = NewDisposeScope();
        using var batch = model.Begin(
            groups.ConvertAll(group => group[0].Request.Prompt), [.. groups.Select(group => group[0].Slot)]);
        PromptTokensRead += batch.Source?.Tokens ?? batch.Tokens;
        var logits = Logits(batch);
        var some = groups.SelectMany(group => group).ToList();
        if (some.Count > groups.Count)
        {
            using var leaders = tensor(
                groups.SelectMany((group, i) => Enumerable.Repeat((long)i, group.Count)).ToArray(), device: logits.device);
            logits = logits.index_select(0, leaders);
            foreach (var group in groups)
                foreach (var row in group.Skip(1)) cache.Share(group[0].Slot, row.Slot);
        }
        Choose(logits, some);
    }

    private void Continue(List<DecodedRow> some)
    {
        using var scope = NewDisposeScope();
        int[] slots = [.. some.Select(row => row.Slot)];
        using var batch = Batch.Continue(
            some.ConvertAll(row => new[] { row.Tokens[^1] }), slots, Array.ConvertAll(slots, slot => cache.Lengths[slot]));
        Choose(Logits(batch), some);
    }

    private Tensor Logits(Batch batch)
    {
        using var places = batch.LastPlaces();
        return model.Unembed(model.Hidden(batch, cache).index_select(0, places));
    }

    private static void Choose(Tensor logits, List<DecodedRow> some)
    {
        var dense = logits.to(ScalarType.Float32).cpu().contiguous();
        if (some.Exists(row => row.IsPenalised))
        {
            LogitCheck.Require(dense, some[0].Tokens.Count + 1);
            for (var i = 0; i < some.Count; i++) some[i].Penalise(dense, i);
        }
        var tokens = new int[some.Count];
        var scores = new float[some.Count];
        if (!TokenChoice.Of(dense, [.. some.Select(row => row.NextRule())], tokens, scores))
            LogitCheck.Require(dense, some[0].Tokens.Count + 1);
        for (var i = 0; i < some.Count; i++) some[i].Take(tokens[i], scores[i]);
    }

    /// <summary>Frees the memory of the slots.</summary>
    public void Dispose() => cache.Dispose();
}
