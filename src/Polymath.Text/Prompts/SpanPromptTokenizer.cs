using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// Prompts for encoder-decoders such as T5. The encoder reads a gap's token at each mask; the decoder reads the same token, and gives the
/// answer there. The form for T5 models that were trained on as language models (Lester et al. 2021) has no gap: the encoder reads what is
/// before the first mask.
/// </summary>
public sealed class SpanPromptTokenizer : PromptTokenizer
{
    private readonly bool asLanguageModel;

    /// <summary>A tokenizer of prompts.</summary>
    /// <param name="tokenizer">The tokenizer of text.</param>
    /// <param name="tokens">Its special tokens.</param>
    /// <param name="settings">The settings.</param>
    /// <param name="asLanguageModel">Whether the encoder's text ends at the first mask.</param>
    /// <exception cref="InputException">The decoder has no room.</exception>
    public SpanPromptTokenizer(Tokenizer tokenizer, PromptTokens tokens, PromptSettings settings, bool asLanguageModel = false)
        : base(tokenizer, tokens, settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        if (settings.DecoderLength < 2)
            throw new InputException($"A decoder of {settings.DecoderLength} tokens has no room for an answer. Set at least 2.");
        this.asLanguageModel = asLanguageModel;
    }

    /// <inheritdoc/>
    protected override int[] AnswerIds(PromptPiece piece, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(piece);
        return [Tokens.Sentinel(0, piece.Position)];
    }

    /// <inheritdoc/>
    public override PromptRow Encode(IReadOnlyList<PromptPiece> pieces, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        ArgumentNullException.ThrowIfNull(example);
        var parts = new List<Part>();
        List<int> decoder = [], loss = [];
        var masks = 0;
        foreach (var piece in pieces)
        {
            if (piece.Kind != PieceKind.Answer)
            {
                parts.Add(Part.Of(piece, IdsOf(piece)));
                continue;
            }
            var gap = Tokens.Sentinel(masks, piece.Position);
            int[] target = Settings.FillsAnswers ? Text.EncodePlain(" " + example.Target(masks, piece.Position)) : [];
            decoder.AddRange([gap, .. target]);
            // The first gap is given; a later one says that the answer before it is complete.
            loss.AddRange([!Settings.FillsAnswers || masks > 0 ? 1 : 0, .. target.Select(_ => 1)]);
            masks++;
            if (asLanguageModel) break;
            parts.Add(Part.Of(piece, [gap]));
        }
        var (kept, cut) = Fit(parts, example);
        var (ids, soft, _) = Join(kept, example, onlyOneEnd: true);
        (decoder, loss) = Finish(decoder, loss);
        return new(
            ids,
            soft,
            [.. loss],
            [.. decoder],
            Settings.FillsAnswers ? [] : Places(loss),
            [],
            cut);
    }

    private (List<int> Decoder, List<int> Loss) Finish(List<int> decoder, List<int> loss)
    {
        if (Settings.DecodesFromPadding) (decoder, loss) = ([Tokens.Padding ?? 0, .. decoder], [0, .. loss]);
        var room = Math.Min(decoder.Count, Settings.DecoderLength - 1);
        (decoder, loss) = (decoder[..room], loss[..room]);
        if (!Settings.LearnsEnd && !asLanguageModel) return (decoder, loss);
        return ([.. decoder, Tokens.Named("<eos>", 0)], [.. loss, Settings.LearnsEnd ? 1 : 0]);
    }
}
