using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;

namespace Polymath.Tuning.Prompts;

/// <summary>Turns rows into the tokens of a filled prompt, as one model reads it.</summary>
public sealed class PromptReader
{
    private readonly TextModel model;
    private readonly PromptTokens tokens;
    private readonly CutSide cut;
    private readonly int firstSoft;
    private readonly SoftEncoder? encoder;
    private readonly bool channel;
    private readonly Dictionary<int, PromptTokenizer> byLength = [];
    private IReadOnlyList<(string Text, int Length)> words = [("", 0)];

    /// <summary>A reader.</summary>
    /// <param name="model">The model.</param>
    /// <param name="ask">The template, in the language of recipes, and where rows that are too long are cut.</param>
    /// <param name="answers">How many answers are read.</param>
    /// <param name="firstSoft">The number of its first soft token among those of all prompts, from 0.</param>
    /// <exception cref="InputException">The template is not well formed, or not one that the model can read.</exception>
    public PromptReader(
        TextModel model,
        AskSpec ask,
        int answers = 1,
        int firstSoft = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ask);
        (this.model, cut, encoder, tokens) = (model, ask.Cut ?? CutSide.Tail, ask.Encoder, PromptTokens.Of(model.Tokenizer));
        (this.firstSoft, Answers, channel) = (firstSoft, answers, ask.Score == PromptScore.Channel);
        Template = PromptTemplate.Written(
            ask.Template,
            // The words at the mask of a channel are there, and the space before them is theirs.
            Reading == Reading.Decoder && !channel,
            model.Tokenizer,
            answers,
            ask.Whole);
        if (channel) SuitsChannel(Mask);
        else Suits(Mask);
        SuitsEncoder();
    }

    private static InputException Fault(int position, string problem) => new($"The template, at character {position + 1}: {problem}");

    private void Suits(MaskBlock mask)
    {
        var family = model.Model.Configuration["model_type"];
        if (Reading == Reading.Decoder && Template.Blocks.LastOrDefault(Follows) is { } after && after.Position > mask.Position)
            throw Fault(after.Position, $"text follows {{mask}}, but a {family} reads forward, and what comes after the answer is "
                + "never read. End with {mask}, or use a masked model.");
        if (Reading == Reading.Encoder && tokens.Mask is null)
            throw Fault(mask.Position, $"a {family} reads the answer at its mask token, and the tokenizer has none. Use the model's own "
                + "tokenizer, or leave out the prompt, so that a head over labels is trained.");
        if (Reading == Reading.EncoderDecoder && tokens.Sentinels.Count == 0)
            throw Fault(mask.Position, $"a {family} reads the answer at <extra_id_0>, and the tokenizer has no such token. Use a T5, or "
                + "leave out the prompt, so that a head over labels is trained.");
    }

    private void SuitsChannel(MaskBlock mask)
    {
        var family = model.Model.Configuration["model_type"];
        if (Reading == Reading.Encoder || model.Model.PromptEnd is not null)
            throw Fault(mask.Position, $"a {family} reads in both directions and gives no probability of a text, which score: channel "
                + "needs. Leave out score, or use a model that writes.");
        if (Reading == Reading.EncoderDecoder && tokens.Sentinels.Count == 0)
            throw Fault(mask.Position, $"a {family} writes the text behind <extra_id_0>, and the tokenizer has no such token. Use a T5, or "
                + "leave out score.");
        List<PromptBlock> behind = [.. Template.Blocks.Where(block => block.Position > mask.Position)];
        if (!behind.Exists(block => block is FieldBlock or MetaBlock))
            throw Fault(mask.Position, "no field follows {mask}, and score: channel scores the text behind the label's words. Write the "
                + "text last, such as \"{mask}: {text}\".");
        if (Reading == Reading.EncoderDecoder && behind.Find(block => block is SoftBlock) is { } soft)
            throw Fault(soft.Position, $"the decoder of a {family} writes what follows {{mask}}, and soft tokens are read. Write them "
                + "before {mask}.");
    }

    private void SuitsEncoder()
    {
        if (encoder is not null && Template.SoftTokens.Count == 0)
            throw Fault(0, "there is no soft token for the encoder. Write {soft} where one should stand, or leave out 'encoder'.");
        if (encoder is not null && Template.Blocks.OfType<SoftBlock>().FirstOrDefault(block => block.MayBeCut) is { } cuts)
            throw Fault(cuts.Position, "soft tokens that an encoder connects are never cut. Leave out shortenable.");
    }

    /// <summary>How many answers are read.</summary>
    public int Answers { get; }

    /// <summary>How many soft tokens it numbers.</summary>
    public int SoftCount => SoftTokens.Count(Template, encoder);

    /// <summary>The template.</summary>
    public PromptTemplate Template { get; }

    private Reading Reading => model.Model.Reading;

    private MaskBlock Mask => Template.Blocks.OfType<MaskBlock>().First();

    private static bool Follows(PromptBlock block) => block is not TextBlock text || text.Text.Trim().Length > 0;

    /// <summary>A row's tokens; the answers are read at its <see cref="TokenRow.Answers"/>.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    /// <exception cref="InputException">A field is missing, or what may not be cut is too long.</exception>
    public TokenRow Row(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most = int.MaxValue,
        IReadOnlyList<int>? lead = null)
    {
        if (channel)
            return Scored(
                name,
                fields,
                words[0],
                most,
                lead);
        var filled = Tokenizer(most).Encode(Template, Example(name, fields, lead));
        var ids = Ids(filled);
        var still = new float[ids.Length];
        if (Reading == Reading.Encoder) return new TokenRow(ids, still, name) { Answers = filled.Answers };
        if (Reading == Reading.Decoder) return new TokenRow(ids, still, name);
        // The decoder reads the gaps' tokens, and gives the answers there.
        int[] gaps = [.. tokens.Sentinels.Take(filled.Answers.Length)];
        return new TokenRow([.. ids, .. gaps], [.. still, .. gaps.Select(_ => 1f)], name)
        {
            Answers = [.. gaps.Select((_, i) => ids.Length + i)],
        };
    }

    /// <summary>Refuses texts as answers where a model cannot write them.</summary>
    /// <param name="texts">The texts.</param>
    internal void TakesTexts(IEnumerable<string> texts)
    {
        if (Reading == Reading.Encoder)
            throw new InputException($"a {model.Model.Configuration["model_type"]} reads one token at a mask and writes no texts. Write "
                + "verbalizer: {words: {LABEL: WORD}}, or use a model that writes.");
        foreach (var text in texts.Where(text => model.Tokenizer.EncodePlain(text).Length == 0))
            throw new InputException($"The text '{text}' of a label has no token. Give another text.");
    }

    /// <summary>A row that a text has answered; behind each of its <see cref="TokenRow.Answers"/> stands a token of the text.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="text">The answer.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    internal TokenRow Answered(
        string name,
        IReadOnlyDictionary<string, string> fields,
        string text,
        int most,
        IReadOnlyList<int>? lead)
    {
        var answer = model.Tokenizer.EncodePlain(text);
        var row = Row(name, fields, most == int.MaxValue ? most : most - answer.Length, lead);
        return new TokenRow([.. row.Ids, .. answer], [.. row.Learn, .. answer.Select(_ => 1f)], name)
        {
            Answers = [.. answer.Select((_, i) => row.Length - 1 + i)],
        };
    }

    /// <summary>
    /// A row that a text has answered and ended, as it is learned: behind each of its <see cref="TokenRow.Answers"/> stands a token of the
    /// text, or its end. Where the template has no space before the answer, one belongs to the answer, except of scripts without spaces.
    /// </summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="text">The answer; its end is cut off where it is too long.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="written">The most tokens of the answer.</param>
    internal TokenRow Finished(
        string name,
        IReadOnlyDictionary<string, string> fields,
        string text,
        int most,
        int written)
    {
        var before = Template.Blocks.TakeWhile(block => block is not MaskBlock).LastOrDefault() is TextBlock words
            && words.Text.EndsWith(' ');
        var answer = model.Tokenizer.EncodePlain(before || text.Length == 0 || text[0] > '\u2e7f' ? text : " " + text);
        int? end = Reading == Reading.EncoderDecoder && tokens.Sentinels.Count > 1
            ? tokens.Sentinels[1]
            : tokens.End ?? model.Ends.Select(id => (int?)id).FirstOrDefault();
        int[] learned = answer.Length >= written || end is null ? answer[..Math.Min(answer.Length, written)] : [.. answer, end.Value];
        if (learned.Length == 0) throw new InputException($"{name} has an answer without a token. Correct the row.");
        var row = Row(name, fields, most == int.MaxValue ? most : most - written);
        return new TokenRow([.. row.Ids, .. learned], [.. row.Learn, .. learned.Select(_ => 1f)], name)
        {
            Answers = [.. learned.Select((_, i) => row.Length - 1 + i)],
        };
    }

    /// <summary>Says which words stand at the mask of a channel.</summary>
    /// <param name="given">The words of all labels.</param>
    internal void TakesWords(IEnumerable<string> given) => words =
    [
        .. given.Select(word => (Text: Spaced(word), model.Tokenizer.EncodePlain(Spaced(word)).Length)),
    ];

    // The space before the mask is that of the word.
    private string Spaced(string word) => word.StartsWith(' ') ? word : Mask.Prefix + word;

    /// <summary>
    /// A row for each word at the mask of a channel; behind each of its <see cref="TokenRow.Answers"/> stands a token of the text. All rows
    /// have the same text: it is cut to fit behind the longest word.
    /// </summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    internal IEnumerable<TokenRow> Scored(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most,
        IReadOnlyList<int>? lead) => words.Select(word => Scored(
        name,
        fields,
        word,
        most,
        lead));

    private TokenRow Scored(
        string name,
        IReadOnlyDictionary<string, string> fields,
        (string Text, int Length) word,
        int most,
        IReadOnlyList<int>? lead)
    {
        var filled = Tokenizer(Beside(word, most)).Encode(Template, Example(name, fields, lead) with { Targets = [word.Text] });
        var ids = Ids(filled);
        // A decoder that has an encoder begins with the gap's token, which says where its part of the row begins.
        var first = filled.DecoderIds is null ? 0 : ids.Length;
        int[] targets = [.. Enumerable.Range(0, filled.LossIds.Length).Where(i => filled.LossIds[i] == 1).Select(i => first + i)];
        int[] all = [.. ids, .. filled.DecoderIds ?? []];
        var learn = new float[all.Length];
        if (first > 0) learn[first] = 1;
        foreach (var target in targets) learn[target] = 1;
        return new TokenRow(all, learn, name) { Answers = [.. targets.Select(target => target - 1)] };
    }

    // What a row may have so that its text is that of the row with the longest word.
    private int Beside((string Text, int Length) word, int most) =>
        most == int.MaxValue ? most : most - (words.Max(one => one.Length) - word.Length);

    /// <summary>The tokens of a row with its answers, as a demonstration; null where it does not fit.</summary>
    /// <param name="fields">Its fields.</param>
    /// <param name="answers">The text at each mask.</param>
    /// <param name="most">The most tokens.</param>
    internal IReadOnlyList<int>? Demonstration(
        IReadOnlyDictionary<string, string> fields,
        IReadOnlyList<string> answers,
        int most)
    {
        if (most < 1) return null;
        var example = Example("A demonstration", fields);
        var next = 0;
        List<PromptPiece> pieces = [.. Template.Wrap(example).Select(piece => piece.Kind == PieceKind.Answer
            ? piece with { Kind = PieceKind.Given, Text = Shown(answers[Math.Min(next++, answers.Count - 1)]), MayBeCut = false }
            : piece)];
        try
        {
            return Ids(new DecoderPromptTokenizer(model.Tokenizer, tokens, new PromptSettings(most, cut, Opening: [])).Encode(
                pieces, example));
        }
        catch (InputException)
        {
            return null;
        }
    }

    private string Shown(string answer) => channel ? Spaced(answer) : answer;

    private int[] Ids(PromptRow filled)
    {
        var ids = (int[])filled.Ids.Clone();
        var seen = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            if (filled.SoftIds[i] == 0) continue;
            ids[i] = model.Model.Tokens.InlineStart + firstSoft + (encoder is null ? filled.SoftIds[i] - 1 : seen++);
        }
        return ids;
    }

    /// <summary>The parts of a row's prompt with their tokens, and how many of them are cut.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    public IReadOnlyList<PromptPart> Parts(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most = int.MaxValue,
        IReadOnlyList<int>? lead = null) => channel
        ? Tokenizer(Beside(words[0], most)).Show(Template, Example(name, fields, lead) with { Targets = [words[0].Text] })
        : Tokenizer(most).Show(Template, Example(name, fields, lead));

    /// <summary>Rows that say nothing: each text in the place of every field.</summary>
    /// <param name="texts">The texts; null for no rows.</param>
    public IReadOnlyList<TokenRow> ContentFree(IReadOnlyList<string>? texts) =>
        [.. (texts ?? []).Select(text => Row(
            $"The content-free text '{text}'",
            TemplateFields.OfPrompt(Template.Source).Distinct().ToDictionary(field => field, _ => text),
            Math.Max(1, model.Model.Sizes.ContextLength - model.Model.VirtualTokens)))];

    private static PromptExample Example(string name, IReadOnlyDictionary<string, string> fields, IReadOnlyList<int>? lead = null) =>
        new(name, fields, fields) { Lead = lead ?? [] };

    private int Gaps => Template.Blocks.OfType<MaskBlock>().Count();

    private PromptTokenizer Tokenizer(int most)
    {
        if (byLength.TryGetValue(most, out var known)) return known;
        var settings = new PromptSettings(most, cut);
        return byLength[most] = Reading switch
        {
            Reading.EncoderDecoder when channel => new ChannelPromptTokenizer(
                model.Tokenizer,
                tokens,
                settings,
                spans: true),
            Reading.Decoder when channel => new ChannelPromptTokenizer(
                model.Tokenizer,
                tokens,
                settings with { Opening = model.Contract.Template.OpeningIds(model.Tokenizer) },
                spans: false),
            Reading.Encoder => new MaskedPromptTokenizer(model.Tokenizer, tokens, settings),
            Reading.EncoderDecoder => new SpanPromptTokenizer(model.Tokenizer, tokens, settings with { MaxLength = most - Gaps }),
            _ => new DecoderPromptTokenizer(
                model.Tokenizer, tokens, settings with { Opening = model.Contract.Template.OpeningIds(model.Tokenizer) }),
        };
    }
}
