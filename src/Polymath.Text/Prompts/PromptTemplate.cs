using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// A prompt's template. It is either hard (text alone), or mixed with soft tokens, whose vectors are learned and which may start from
/// words.
/// </summary>
public sealed class PromptTemplate
{
    private readonly IReadOnlyList<PromptBlock> blocks;
    private readonly IReadOnlyList<SoftToken> soft;
    private readonly ILookup<SoftBlock, SoftToken> bySource;

    private PromptTemplate(string source, bool isMixed, IReadOnlyList<PromptBlock> blocks, SoftPlan plan)
    {
        (Source, IsMixed, this.blocks, soft) = (source, isMixed, blocks, plan.Tokens);
        bySource = soft.ToLookup(token => token.Block);
        (InitialIds, Remarks) = (plan.InitialIds, plan.Remarks);
    }

    /// <summary>The template as it was written.</summary>
    public string Source { get; }

    /// <summary>Whether soft tokens are allowed.</summary>
    public bool IsMixed { get; }

    /// <summary>For each soft token, the id in the vocabulary that its vector starts from; null for random numbers.</summary>
    public IReadOnlyList<int?> InitialIds { get; }

    /// <summary>What is written but has no effect, as sentences.</summary>
    public IReadOnlyList<string> Remarks { get; }

    /// <summary>The blocks in order.</summary>
    public IReadOnlyList<PromptBlock> Blocks => blocks;

    /// <summary>The soft tokens of all soft blocks, in order; each names its block.</summary>
    public IReadOnlyList<SoftToken> SoftTokens => soft;

    /// <summary>A recipe's template, in its own language (<see cref="PromptLanguage"/>).</summary>
    /// <param name="source">The text.</param>
    /// <param name="forward">Whether the model reads forward: it reads the spaces before an answer, and nothing after it.</param>
    /// <param name="tokenizer">The tokenizer, for the words that soft tokens start from; null where only texts are needed.</param>
    /// <param name="answers">How many answers are read.</param>
    /// <param name="whole">Fields that are never cut, besides those that the template says; null for none.</param>
    /// <exception cref="InputException">It is not well formed, or has another number of masks.</exception>
    public static PromptTemplate Written(
        string source,
        bool forward,
        Tokenizer? tokenizer = null,
        int answers = 1,
        IReadOnlyList<string>? whole = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        List<PromptBlock> blocks =
        [
            .. PromptLanguage.Parse(source, forward).Select(block =>
                block is FieldBlock { Shortenable: null } field && whole?.Contains(field.Field) == true
                    ? field with { Shortenable = false }
                    : block),
        ];
        InputException Fault(int position, string problem) => new($"The template, at character {position + 1}: {problem}");
        List<MaskBlock> masks = [.. blocks.OfType<MaskBlock>()];
        if (masks.Count == 0)
            throw Fault(source.Length, "it ends without a place for the answer. Write {mask} there.");
        if (masks.Count > answers && answers == 1)
            throw Fault(masks[1].Position, "this is a second {mask}, but one answer is read. Write {mask} once.");
        if (masks.Count != answers)
            throw Fault(
                masks.Count > answers ? masks[answers].Position : source.Length,
                $"there are {masks.Count} masks, and each label has {answers} words. Write a {{mask}} for each word.");
        return new(source, true, blocks, tokenizer is null ? SoftPlan.None : SoftPlan.Of(blocks, tokenizer));
    }

    /// <summary>A template without soft tokens.</summary>
    /// <param name="source">The text.</param>
    /// <exception cref="InputException">It is not well formed, has no mask, or has a soft token.</exception>
    public static PromptTemplate Hard(string source)
    {
        var blocks = Read(source);
        if (blocks.Find(block => block is SoftBlock) is { } first)
            throw new InputException($"The template, at character {first.Position + 1}: a hard template has no soft tokens. Use a "
                + "mixed one.");
        return new(source, false, blocks, SoftPlan.None);
    }

    /// <summary>A template that may have soft tokens.</summary>
    /// <param name="source">The text.</param>
    /// <param name="tokenizer">The tokenizer, for the words that soft tokens start from.</param>
    /// <exception cref="InputException">It is not well formed, or has no mask.</exception>
    public static PromptTemplate Mixed(string source, Tokenizer tokenizer)
    {
        var blocks = Read(source);
        return new(source, true, blocks, SoftPlan.Of(blocks, tokenizer));
    }

    /// <summary>A rule that makes a target text: a template of text, fields and values alone.</summary>
    /// <param name="source">The text.</param>
    internal static PromptTemplate Rule(string source)
    {
        var blocks = PromptSyntax.Parse(source);
        if (blocks.Find(block => block is MaskBlock or SoftBlock or SpecialBlock) is { } other)
            throw new InputException($"The rule, at character {other.Position + 1}: a target text has no masks, soft or special tokens.");
        // The parts are joined by a space. As in OpenPrompt, a space at the end of bare text also goes with the part after it.
        bool Follows(int i) => i > 0 && blocks[i - 1] is TextBlock bare && source[bare.Position] != '{'
            && source[blocks[i].Position - 1] == ' ';
        return new(source, false, [.. blocks.Select((block, i) => block with { Prefix = Follows(i) ? " " : "" })], SoftPlan.None);
    }

    private static List<PromptBlock> Read(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        var blocks = PromptSyntax.Parse(source);
        return blocks.Exists(block => block is MaskBlock)
            ? blocks
            : throw new InputException($"The template, at character {source.Length + 1}: it ends without a place for the answer. Write "
                + "{\"mask\"} there.");
    }

    /// <summary>The pieces of the prompt that is filled with an example.</summary>
    /// <param name="example">The example.</param>
    /// <exception cref="InputException">The example lacks a field or value that the template asks for.</exception>
    public IReadOnlyList<PromptPiece> Wrap(PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(example);
        return [.. blocks.SelectMany(block => block is SoftBlock one
            ? bySource[one].Select(token => Piece(block, PieceKind.Soft, token.Surface, token.Id))
            : [Hard(block, example)])];
    }

    private static PromptPiece Piece(PromptBlock block, PieceKind kind, string text, int soft = 0) => new(
        kind,
        text,
        block.MayBeCut,
        soft,
        block.Position);

    private static PromptPiece Hard(PromptBlock block, PromptExample example) => block switch
    {
        FieldBlock field => Piece(
            block,
            PieceKind.Given,
            block.Prefix + field.Filter.Apply(Found(example.Fields, field.Field, "field", (block, example)))),
        MetaBlock meta => Piece(
            block,
            PieceKind.Given,
            block.Prefix + meta.Filter.Apply(Found(example.Meta, meta.Name, "value", (block, example)))),
        MaskBlock => Piece(block, PieceKind.Answer, PromptPiece.Mask),
        SpecialBlock special => Piece(block, PieceKind.Special, special.Token),
        TextBlock text => Piece(block, PieceKind.Template, block.Prefix + text.Text),
        _ => throw new InvalidOperationException(block.GetType().Name),
    };

    private static string Found(
        IReadOnlyDictionary<string, string> given, string name, string kind, (PromptBlock Block, PromptExample Example) at)
    {
        if (given.TryGetValue(name, out var text)) return text;
        var names = given.Count == 0 ? "none" : string.Join(", ", given.Keys);
        throw new InputException($"The template, at character {at.Block.Position + 1}: {at.Example.Name} has no {kind} '{name}'. There is "
            + $"{names}.");
    }
}
