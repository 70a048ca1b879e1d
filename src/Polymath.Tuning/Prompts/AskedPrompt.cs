using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>One prompt of a task, made for a model: its template, its soft tokens, and how its answers are read.</summary>
internal sealed class AskedPrompt : IDisposable
{
    private readonly TextModel model;
    private readonly TaskPrompt prompt;
    private readonly IReadOnlyList<string> labels;
    private readonly IReadOnlyList<TokenRow> bare;
    private readonly LabelReading? reading;
    private readonly IReadOnlyList<(int Label, Func<IReadOnlyDictionary<string, string>, string> Text)>? texts;
    private readonly TextLabels? written;
    private readonly ChannelLabels? channel;

    /// <summary>A prompt.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="labels">The labels, in order.</param>
    /// <param name="take">Gives a weight by its name, its first values, and whether it is trained.</param>
    /// <param name="at">The number of its first soft token, and the seed of what starts at random.</param>
    /// <param name="whole">Fields that are never cut.</param>
    /// <exception cref="InputException">The model cannot read the template or the words.</exception>
    internal AskedPrompt(
        TextModel model,
        TaskPrompt prompt,
        IReadOnlyList<string> labels,
        Func<string, Func<Tensor>, bool, Weight> take,
        (int FirstSoft, ulong Seed) at,
        IReadOnlyList<string> whole)
    {
        (this.model, this.prompt, this.labels) = (model, prompt, labels);
        var scoresTexts = prompt.Score == PromptScore.Channel;
        // Words that are written are whole.
        var verbalizer = scoresTexts ? prompt.Verbalizer with { Reading = WordReading.Mean } : prompt.Verbalizer;
        Reader = new PromptReader(
            model,
            new AskSpec(
                prompt.Template,
                Cut: prompt.Cut,
                Encoder: prompt.Encoder,
                Score: prompt.Score)
            {
                Whole = whole,
            },
            verbalizer.Answers,
            at.FirstSoft);
        bare = Bare(verbalizer);
        var readings = new LabelReadings(
            model,
            verbalizer,
            labels,
            take);
        Words = readings.Words();
        if (Reader.Template.SoftTokens.Count > 0)
            Soft = SoftTokens.Of(
                model.Model,
                Reader.Template,
                prompt.Encoder,
                (name, fresh) => take(name, fresh, true),
                at.Seed);
        if (scoresTexts)
        {
            channel = new ChannelLabels([.. Words!.Words.Words.SelectMany((own, label) => own.Select(_ => label))]);
            Reader.TakesWords(Words.Words.Words.SelectMany(own => own));
            return;
        }
        reading = readings.Of(Words);
        if (verbalizer.Kind != "texts") return;
        texts =
        [
            .. labels.SelectMany((label, l) => verbalizer.Words?.GetValueOrDefault(label) is { } own
                ? own.Select(text => (l, (Func<IReadOnlyDictionary<string, string>, string>)new FieldText(text).Fill))
                : [(l, _ => label)]),
        ];
        Reader.TakesTexts(labels.SelectMany(label => verbalizer.Words?.GetValueOrDefault(label) ?? [label]));
        written = new TextLabels([.. texts.Select(text => text.Label)], verbalizer.Sum ? TextReading.Sum : TextReading.Mean);
    }

    // Rows that say nothing: texts in the place of every field, or a prompt that has no fields.
    private IReadOnlyList<TokenRow> Bare(TaskVerbalizer verbalizer)
    {
        if (verbalizer.Domain is not { } text) return Reader.ContentFree(verbalizer.ContentFree);
        return [new PromptReader(model, new AskSpec(text)).Row($"The domain's text '{text}'", new Dictionary<string, string>())];
    }

    /// <summary>Turns rows into tokens.</summary>
    internal PromptReader Reader { get; }

    /// <summary>The labels' words; null where whole texts are read.</summary>
    internal TaskWords? Words { get; }

    /// <summary>Its soft tokens; null for none.</summary>
    internal InlinePrompt? Soft { get; }

    /// <summary>How many rows ask for one text.</summary>
    internal int RowsEach => channel?.Owners.Count ?? texts?.Count ?? 1;

    /// <summary>Whether the text is scored behind each label's words, and learned behind those of the right one.</summary>
    internal bool ScoresTexts => channel is not null;

    /// <summary>How many rows a text is learned by.</summary>
    /// <param name="label">The number of its label.</param>
    internal int LearnedRows(int label) => channel is null ? RowsEach : channel.Owners.Count(owner => owner == label);

    /// <summary>The rows by which a text is learned.</summary>
    /// <param name="label">The number of its label.</param>
    /// <param name="rows">The rows that ask about it.</param>
    internal IEnumerable<TokenRow> Learned(int label, IEnumerable<TokenRow> rows) =>
        channel is null ? rows : rows.Where((_, at) => channel.Owners[at] == label);

    /// <summary>How a label is written in a demonstration: a word for each mask, or a text.</summary>
    /// <param name="label">The label's number.</param>
    /// <param name="fields">The fields of the demonstration.</param>
    internal IReadOnlyList<string> Written(int label, IReadOnlyDictionary<string, string> fields)
    {
        if (texts is not null) return [texts.First(text => text.Label == label).Text(fields)];
        return Reader.Answers == 1 ? [Words!.Words.Words[label][0]] : Words!.Words.Words[label];
    }

    /// <summary>What stands for a label: words with their tokens, or texts.</summary>
    /// <param name="label">The label's number.</param>
    internal IReadOnlyList<(string Word, IReadOnlyList<int> Ids)> Spelled(int label)
    {
        if (Words is { Words: var words })
            return [.. words.Words[label].Zip(words.Ids[label], (word, ids) => (word, (IReadOnlyList<int>)ids))];
        var given = prompt.Verbalizer.Words?.GetValueOrDefault(labels[label]) ?? [labels[label]];
        return [.. given.Select(text => (text, (IReadOnlyList<int>)model.Tokenizer.EncodePlain(text)))];
    }

    /// <summary>The rows that ask about a text.</summary>
    /// <param name="name">Its name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens of each.</param>
    /// <param name="lead">Tokens before the question.</param>
    internal IEnumerable<TokenRow> Rows(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most,
        IReadOnlyList<int>? lead = null)
    {
        if (channel is not null) return Reader.Scored(name, fields, most, lead);
        return texts is null
            ? [Reader.Row(name, fields, most, lead)]
            : texts.Select(text => Reader.Answered(
                name,
                fields,
                text.Text(fields),
                most,
                lead));
    }

    /// <summary>The labels' scores [n, C].</summary>
    /// <param name="network">The model.</param>
    /// <param name="hidden">The states of a batch.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows that are this prompt's, each with its place in the batch.</param>
    internal Tensor Scores(
        LanguageModel network,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows)
    {
        if (channel is not null)
            return channel.Scores(
                network,
                hidden,
                batch,
                rows);
        return written is not null
            ? written.Scores(
                network,
                hidden,
                batch,
                rows)
            : reading!.Scores(States(
                network,
                hidden,
                batch,
                rows));
    }

    /// <summary>−log p of texts behind their labels' words, divided by the text's tokens [texts and contexts].</summary>
    /// <param name="network">The model.</param>
    /// <param name="hidden">The states of a batch.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Those by which texts are learned, each with its place in the batch.</param>
    /// <param name="counts">How many rows each text and context has, in order.</param>
    internal static Tensor TextLosses(
        LanguageModel network,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows,
        IReadOnlyList<int> counts) => ChannelLabels.Losses(
        AnsweredTexts.Of(
            network,
            hidden,
            batch,
            rows),
        counts);

    /// <summary>The probabilities of the labels' words among all their words [n, C, W]; null where no words are read.</summary>
    /// <param name="network">The model.</param>
    /// <param name="hidden">The states of a batch.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows that are this prompt's, each with its place in the batch.</param>
    internal Tensor? WordShares(
        LanguageModel network,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows) => reading?.WordShares(States(
        network,
        hidden,
        batch,
        rows));

    private AskedStates States(
        LanguageModel network,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows) => new(
        network,
        AskedStates.Of(hidden, batch, rows),
        bare.Count == 0 ? null : BareStates(network, rows[0].Row.Data));

    // The model as it is reads the rows that say nothing; rows of one adapter stay with it.
    private Tensor BareStates(LanguageModel network, string? data)
    {
        using var frozen = no_grad();
        List<TokenRow> empty = [.. bare.Select(row => row with { Data = data })];
        using var batch = network.Lay(empty);
        return AskedStates.Of(network.Hidden(batch), batch, [.. empty.Select((row, at) => (row, at))]);
    }

    /// <inheritdoc/>
    public void Dispose() => reading?.Dispose();
}
