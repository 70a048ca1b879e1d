using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// Prompts whose text is scored behind an answer that is given (Min et al. 2022): the example's first target stands at the mask, and every
/// token behind it but soft ones is a target. An encoder-decoder's encoder reads what is before, with the token of a gap where the text
/// would stand, and the decoder gives the text behind the same token.
/// </summary>
/// <param name="tokenizer">The tokenizer of text.</param>
/// <param name="tokens">Its special tokens.</param>
/// <param name="settings">The settings; for an encoder-decoder, the length counts the tokens of encoder and decoder together.</param>
/// <param name="spans">Whether the model is an encoder-decoder.</param>
public sealed class ChannelPromptTokenizer(
    Tokenizer tokenizer,
    PromptTokens tokens,
    PromptSettings settings,
    bool spans) : PromptTokenizer(tokenizer, tokens, spans ? settings with { MaxLength = settings.MaxLength - 1 } : settings)
{
    /// <inheritdoc/>
    protected override int[] AnswerIds(PromptPiece piece, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(piece);
        ArgumentNullException.ThrowIfNull(example);
        var given = Text.EncodePlain(example.Target(0, piece.Position));
        return spans ? [.. given, Tokens.Sentinel(0, piece.Position)] : given;
    }

    /// <inheritdoc/>
    public override PromptRow Encode(IReadOnlyList<PromptPiece> pieces, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        ArgumentNullException.ThrowIfNull(example);
        var parts = new List<Part>();
        var before = 0;
        foreach (var piece in pieces)
            if (piece.Kind == PieceKind.Answer)
            {
                parts.Add(Part.Of(piece, AnswerIds(piece, example), 0) with { MayBeCut = false });
                before = parts.Count;
            }
            else parts.Add(Part.Of(piece, IdsOf(piece), before > 0 && piece.Kind != PieceKind.Soft ? 1 : 0));
        var (kept, cut) = Fit(parts, example);
        if (!kept.Any(part => part is { Loss: 1, Ids.Length: > 0 }))
            throw new InputException($"{example.Name} has no text behind the answer's place, so there is nothing to score. Fill the fields "
                + "that follow {mask}, or filter such rows.");
        return spans ? Spans([.. kept.Take(before)], [.. kept.Skip(before)], example, cut) : Whole(kept, example, cut);
    }

    private PromptRow Whole(IReadOnlyList<Part> parts, PromptExample example, int cut)
    {
        var (ids, soft, loss) = Join(parts, example);
        return new(
            ids,
            soft,
            loss,
            null,
            [],
            [],
            cut);
    }

    private PromptRow Spans(
        IReadOnlyList<Part> encoder,
        IReadOnlyList<Part> decoder,
        PromptExample example,
        int cut)
    {
        var (ids, soft, _) = Join(encoder, example, onlyOneEnd: true);
        return new(
            ids,
            soft,
            [0, .. decoder.SelectMany(part => part.Ids.Select(_ => part.Loss))],
            [Tokens.Sentinel(0, 0), .. decoder.SelectMany(part => part.Ids)],
            [],
            [],
            cut);
    }
}
