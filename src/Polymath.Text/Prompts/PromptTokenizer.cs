using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>How prompts become rows.</summary>
/// <param name="MaxLength">The most tokens of a row.</param>
/// <param name="Cut">Where a longer one is cut.</param>
/// <param name="FillsAnswers">Whether the target texts stand in the answers' places, as in training (teacher forcing).</param>
/// <param name="LearnsEnd">Whether the end of a text is appended and learned.</param>
/// <param name="DecoderLength">The most tokens that a decoder reads, one of them kept for the end.</param>
/// <param name="DecodesFromPadding">Whether a decoder begins with the padding token.</param>
/// <param name="Opening">The tokens before a row, with none after it; null for those that the tokenizer adds.</param>
public sealed record PromptSettings(
    int MaxLength,
    CutSide Cut = CutSide.Tail,
    bool FillsAnswers = false,
    bool LearnsEnd = false,
    int DecoderLength = 128,
    bool DecodesFromPadding = true,
    IReadOnlyList<int>? Opening = null);

/// <summary>Turns filled prompts into tokens for one kind of model.</summary>
public abstract class PromptTokenizer
{
    private readonly int[] before, after;

    /// <summary>A tokenizer of prompts.</summary>
    /// <param name="tokenizer">The tokenizer of text.</param>
    /// <param name="tokens">Its special tokens.</param>
    /// <param name="settings">The settings.</param>
    protected PromptTokenizer(Tokenizer tokenizer, PromptTokens tokens, PromptSettings settings)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(settings);
        (Text, Tokens, Settings) = (tokenizer.Uncut(), tokens, settings);
        if (settings.Opening is { } given)
        {
            (before, after) = ([.. given], []);
            return;
        }
        int[] bare = Text.Encode("a"), whole = Text.Encode("a", true);
        var start = Math.Max(0, whole.AsSpan().IndexOf(bare));
        (before, after) = (whole[..start], whole[(start + bare.Length)..]);
    }

    /// <summary>The tokenizer of text.</summary>
    protected Tokenizer Text { get; }

    /// <summary>The special tokens.</summary>
    protected PromptTokens Tokens { get; }

    /// <summary>The settings.</summary>
    protected PromptSettings Settings { get; }

    /// <summary>The tokens of a prompt.</summary>
    /// <param name="template">The template.</param>
    /// <param name="example">The example it is filled with.</param>
    /// <exception cref="InputException">The template asks for what the example or the model has not, or it is too long.</exception>
    public PromptRow Encode(PromptTemplate template, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(example);
        return Encode(template.Wrap(example), example);
    }

    /// <summary>The tokens of some pieces.</summary>
    /// <param name="pieces">The pieces.</param>
    /// <param name="example">The example they are from.</param>
    public abstract PromptRow Encode(IReadOnlyList<PromptPiece> pieces, PromptExample example);

    /// <summary>The pieces of a prompt with their tokens, and how many of them are cut; an answer's place has at most one.</summary>
    /// <param name="template">The template.</param>
    /// <param name="example">The example it is filled with.</param>
    public IReadOnlyList<PromptPart> Show(PromptTemplate template, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(example);
        var pieces = template.Wrap(example);
        List<int[]> ids = [.. pieces.Select(piece => piece.Kind == PieceKind.Answer ? AnswerIds(piece, example) : IdsOf(piece))];
        int[] lengths = [.. pieces.Select((piece, i) => piece.MayBeCut ? ids[i].Length : 0)];
        var excess = ids.Sum(own => own.Length) + before.Length + example.Lead.Count + after.Length - Settings.MaxLength;
        var losses = PromptCut.Losses(lengths, Math.Clamp(excess, 0, lengths.Sum()), Settings.Cut);
        var atStart = Settings.Cut == CutSide.Head;
        return
        [
            new(null, before, 0, atStart),
            new(null, [.. example.Lead], 0, atStart),
            .. pieces.Select((piece, i) => new PromptPart(piece, ids[i], losses[i], atStart)),
            new(null, after, 0, atStart),
        ];
    }

    /// <summary>The tokens that stand at an answer's place.</summary>
    /// <param name="piece">The place.</param>
    /// <param name="example">The example.</param>
    protected virtual int[] AnswerIds(PromptPiece piece, PromptExample example) => [];

    /// <summary>Tokens of one piece.</summary>
    protected sealed record Part(int[] Ids, int SoftId, int Loss, bool MayBeCut)
    {
        /// <summary>Tokens of a piece.</summary>
        public static Part Of(PromptPiece piece, int[] ids, int? loss = null) =>
            new(ids, piece.SoftId, loss ?? piece.Loss, piece.MayBeCut);
    }

    /// <summary>The tokens of a piece that is no answer.</summary>
    protected int[] IdsOf(PromptPiece piece)
    {
        ArgumentNullException.ThrowIfNull(piece);
        return piece.Kind switch
        {
            PieceKind.Soft => [0],
            PieceKind.Given => Text.EncodePlain(piece.Text),
            _ when PromptTokens.IsName(piece.Text) => [Tokens.Named(piece.Text, piece.Position)],
            _ => Text.Encode(piece.Text),
        };
    }

    /// <summary>The parts without what is too long.</summary>
    /// <exception cref="InputException">What may be cut is not enough.</exception>
    protected (IReadOnlyList<Part> Kept, int Cut) Fit(IReadOnlyList<Part> parts, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(example);
        var excess = parts.Sum(part => part.Ids.Length) + before.Length + example.Lead.Count + after.Length - Settings.MaxLength;
        if (excess <= 0) return (parts, 0);
        int[] lengths = [.. parts.Select(part => part.MayBeCut ? part.Ids.Length : 0)];
        if (excess > lengths.Sum())
            throw new InputException($"{example.Name} is {excess} tokens too long for a row of {Settings.MaxLength}, and only "
                + $"{lengths.Sum()} tokens of its fields may be cut. Allow longer rows, or let a longer part be cut.");
        var losses = PromptCut.Losses(lengths, excess, Settings.Cut);
        return ([.. parts.Select((part, i) => part with { Ids = PromptCut.Kept(part.Ids, losses[i], Settings.Cut) })], excess);
    }

    /// <summary>The parts end to end, with the tokens that begin and end a row.</summary>
    /// <param name="parts">The parts.</param>
    /// <param name="example">The example they are from.</param>
    /// <param name="onlyOneEnd">Whether an end that the template has written is not written again.</param>
    protected (int[] Ids, int[] Soft, int[] Loss) Join(IReadOnlyList<Part> parts, PromptExample example, bool onlyOneEnd = false)
    {
        ArgumentNullException.ThrowIfNull(example);
        var lead = example.Lead;
        int[] ids = [.. before, .. lead, .. parts.SelectMany(part => part.Ids)],
            soft = [.. new int[before.Length + lead.Count], .. parts.SelectMany(part => part.Ids.Select(_ => part.SoftId))],
            loss = [.. before.Select(_ => -100), .. new int[lead.Count], .. parts.SelectMany(part => part.Ids.Select(_ => part.Loss))];
        if (onlyOneEnd && ids.Length > 0 && soft[^1] == 0 && after.AsSpan().SequenceEqual([ids[^1]])) return (ids, soft, loss);
        return ([.. ids, .. after], [.. soft, .. new int[after.Length]], [.. loss, .. after.Select(_ => -100)]);
    }

    /// <summary>The places that hold a 1.</summary>
    protected static int[] Places(IReadOnlyList<int> loss) => [.. Enumerable.Range(0, loss.Count).Where(i => loss[i] == 1)];
}
