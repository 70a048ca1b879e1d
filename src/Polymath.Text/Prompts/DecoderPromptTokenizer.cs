using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// Prompts for decoders such as GPT-2. The answer is read at the last token before the mask, and nothing after the mask is read. With
/// filled answers, the target texts stand in their places and the whole template is kept.
/// </summary>
/// <param name="tokenizer">The tokenizer of text.</param>
/// <param name="tokens">Its special tokens.</param>
/// <param name="settings">The settings.</param>
public sealed class DecoderPromptTokenizer(Tokenizer tokenizer, PromptTokens tokens, PromptSettings settings)
    : PromptTokenizer(tokenizer, tokens, settings)
{
    /// <inheritdoc/>
    public override PromptRow Encode(IReadOnlyList<PromptPiece> pieces, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        ArgumentNullException.ThrowIfNull(example);
        var parts = new List<Part>();
        int masks = 0, last = 0;
        for (var i = 0; i < pieces.Count; i++)
        {
            var piece = pieces[i];
            if (piece.Kind == PieceKind.Answer)
            {
                last = piece.Position;
                if (!Settings.FillsAnswers) break;
                parts.Add(Part.Of(piece, Text.EncodePlain($" {example.Target(masks++, piece.Position)} ")));
            }
            else parts.Add(Part.Of(piece, IdsOf(piece), LearnsEnd(pieces, i) ? 1 : null));
        }
        if (Settings is { LearnsEnd: true, FillsAnswers: true } && !IsEnd(pieces[^1]))
            parts.Add(new([Tokens.Named("<eos>", last)], 0, 1, false));
        return Row(parts, example, last);
    }

    private PromptRow Row(List<Part> parts, PromptExample example, int mask)
    {
        var (kept, cut) = Fit(parts, example);
        var (ids, soft, loss) = Join(kept, example);
        if (!Settings.FillsAnswers)
        {
            if (ids.Length == 0)
                throw new InputException($"The template, at character {mask + 1}: {example.Name} has no token before the mask, so a "
                    + "decoder "
                    + "has nothing to read there. Write some words before it.");
            loss[^1] = 1;
        }
        return new(
            ids,
            soft,
            loss,
            null,
            Settings.FillsAnswers ? [] : [ids.Length - 1],
            [],
            cut);
    }

    private bool IsEnd(PromptPiece piece) => piece.Kind is PieceKind.Special or PieceKind.Template && (piece.Text == "<eos>"
        || (Tokens.End is { } end && piece.Text.EndsWith(Text.TokenOf(end), StringComparison.Ordinal)));

    // An end after an answer is learned. Rows follow each other, so one at the very start ends the answer of the row before.
    private bool LearnsEnd(IReadOnlyList<PromptPiece> pieces, int i)
    {
        if (!Settings.LearnsEnd || pieces[i].Kind is not (PieceKind.Special or PieceKind.Template)) return false;
        if (pieces[i].Text != "<eos>" && pieces[i].Text != (Tokens.End is { } end ? Text.TokenOf(end) : null)) return false;
        return i > 0 ? pieces[i - 1].Loss == 1 : !IsEnd(pieces[^1]);
    }
}
