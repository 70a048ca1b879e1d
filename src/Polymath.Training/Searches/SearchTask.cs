using System.Security.Cryptography;
using System.Text;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Training.Searches;

/// <summary>What a search works on: a task stage, the model that is asked, and few rows for finding and for choosing.</summary>
public sealed class SearchTask
{
    private readonly CancellationToken stop;

    /// <summary>The task of a stage.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="model">The model that is asked.</param>
    /// <param name="rows">The stage's rows.</param>
    /// <param name="most">The most tokens of a row.</param>
    /// <param name="stop">Stops between two passes of rows.</param>
    /// <exception cref="InputException">There are no rows for choosing, or words are not known.</exception>
    internal SearchTask(
        StageSpec stage,
        TextModel model,
        IReadOnlyList<Row> rows,
        int most,
        CancellationToken stop)
    {
        this.stop = stop;
        var ask = ((PromptMethod)stage.Method!).Asks()[0];
        var label = ((TaskSpec)stage.Objective).Label;
        (Model, Template, Cut, Most) = (model, ask.Template!, ask.Cut ?? CutSide.Tail, most);
        string LabelOf(Row row) => row.Fields.GetValueOrDefault(label, "");
        List<Row> train = [.. rows.Where(row => row.Split == DataSplit.Train)];
        Labels = [.. train.Select(LabelOf).Distinct().Order(StringComparer.Ordinal)];
        Train = train;
        Development = [.. rows.Where(row => row.Split == DataSplit.Validation && Labels.Contains(LabelOf(row)))];
        if (Development.Count == 0)
            throw new InputException($"Stage {stage.Name} has no validation rows to choose by. Give its data a larger split.validation, or "
                + "take --shots 16.");
        var numbers = Labels.Select((name, i) => (name, i)).ToDictionary(pair => pair.name, pair => pair.i, StringComparer.Ordinal);
        NumberOf = row => numbers[LabelOf(row)];
        Words = Labels.ToDictionary(name => name, name => ask.Verbalizer?.Given?.GetValueOrDefault(name) ?? [name]);
    }

    /// <summary>The model.</summary>
    public TextModel Model { get; }

    /// <summary>Where rows that are too long are cut.</summary>
    internal CutSide Cut { get; }

    /// <summary>The most tokens of a row.</summary>
    internal int Most { get; }

    /// <summary>Trains the model by each candidate before it is scored; null where the model is asked as it is.</summary>
    internal CandidateTuning? Tuning { get; set; }

    /// <summary>The stage's own template.</summary>
    public string Template { get; }

    /// <summary>The labels, in order.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>The stage's own words of each label.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Words { get; }

    /// <summary>The rows for finding.</summary>
    public IReadOnlyList<Row> Train { get; }

    /// <summary>The rows for choosing.</summary>
    public IReadOnlyList<Row> Development { get; }

    /// <summary>
    /// What the candidates depend on besides the search's settings: the prompt, the rows with their labels, and the model's weights.
    /// </summary>
    internal string Digest()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes($"{text.Length}:{text}"));
        foreach (var text in new[] { Template, $"{Cut}", $"{Most}", ModelSignature.Of(Model.Model).ToString() }) Add(text);
        foreach (var label in Labels)
            foreach (var text in Words[label].Prepend(label)) Add(text);
        foreach (var row in Train.Concat(Development))
            foreach (var text in row.Fields.OrderBy(field => field.Key, StringComparer.Ordinal)
                .SelectMany(field => new[] { field.Key, field.Value }).Append($"{row.Split} {NumberOf(row)}")) Add(text);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The number of a row's label.</summary>
    internal Func<Row, int> NumberOf { get; }

    /// <summary>The first tokens of each label's words, by which they are read.</summary>
    /// <param name="words">The words.</param>
    /// <exception cref="InputException">A word is not known, or two labels share one.</exception>
    internal IReadOnlyList<long[]> TokensOf(IReadOnlyDictionary<string, IReadOnlyList<string>> words) =>
        [.. TaskWords.Of(Labels, words, Model.Tokenizer).Words.Ids.Select(label => label.Select(ids => (long)ids[0]).ToArray())];

    /// <summary>Rows as the model reads them by a template.</summary>
    /// <param name="template">The template.</param>
    /// <param name="rows">The rows.</param>
    /// <exception cref="InputException">The model cannot read the template.</exception>
    internal IReadOnlyList<TokenRow> Asked(string template, IEnumerable<Row> rows)
    {
        var reader = new PromptReader(Model, new AskSpec(template, Cut: Cut));
        return [.. rows.Select(row => reader.Row(row.Name, row.Fields, Most))];
    }

    /// <summary>Whether the model can read a template: what a model has written may be anything, and is then no candidate.</summary>
    /// <param name="template">The template.</param>
    internal bool IsRead(string template)
    {
        try
        {
            return Asked(template, Train.Take(1)).Count == 1;
        }
        catch (InputException)
        {
            return false;
        }
    }

    /// <summary>The logits of the vocabulary [n, V] where rows' answers are read.</summary>
    /// <param name="rows">The rows, as many as fit into one pass.</param>
    internal Tensor Logits(IReadOnlyList<TokenRow> rows)
    {
        using var batch = Model.Model.Lay(rows);
        long[] places = [.. rows.Select((row, r) =>
            (long)batch.PlaceOf(r, row.Answers is { Count: > 0 } answers ? row.Length - 1 - answers[0] : 0))];
        return Model.Model.Unembed(Model.Model.Hidden(batch).index_select(0, tensor(places, device: Model.Model.Device)));
    }

    /// <summary>Passes of rows that are only read.</summary>
    /// <param name="rows">The rows, each with its place.</param>
    internal static IEnumerable<List<(TokenRow Row, int At)>> Passes(IReadOnlyList<TokenRow> rows) =>
        TokenChunks.Of(rows.Select((row, at) => (row, at)), pair => pair.row.Length, TokenChunks.Measured / 4);

    /// <summary>The logits of the vocabulary [n, V] of many rows, which the caller frees.</summary>
    /// <param name="rows">The rows.</param>
    internal Tensor AllLogits(IReadOnlyList<TokenRow> rows)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var parts = new List<Tensor>();
        foreach (var pass in Passes(rows))
        {
            stop.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            parts.Add(Logits([.. pass.Select(pair => pair.Row)]).MoveToOuterDisposeScope());
        }
        return cat(parts, 0).DetachFromDisposeScope();
    }

    /// <summary>A candidate with its scores on the development split.</summary>
    /// <param name="template">The template.</param>
    /// <param name="words">The words.</param>
    /// <param name="found">What the search says of it.</param>
    /// <param name="from">Where it is from.</param>
    /// <exception cref="InputException">The model cannot read the template or the words.</exception>
    internal SearchCandidate Scored(
        string template,
        IReadOnlyDictionary<string, IReadOnlyList<string>> words,
        double found,
        string from)
    {
        SearchCandidate Measured() => AsIs(
            template,
            words,
            found,
            from);
        return Tuning is null
            ? Measured()
            : Tuning.After(
                template,
                words,
                Measured,
                stop);
    }

    private SearchCandidate AsIs(
        string template,
        IReadOnlyDictionary<string, IReadOnlyList<string>> words,
        double found,
        string from)
    {
        var tokens = TokensOf(words);
        var rows = Asked(template, Development);
        double right = 0, loss = 0;
        using var frozen = no_grad();
        foreach (var pass in Passes(rows))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var shares = Logits([.. pass.Select(pair => pair.Row)]).log_softmax(-1);
            var means = stack(tokens.Select(own => shares.index_select(1, tensor(own, device: shares.device)).mean([1L])), 1);
            var guesses = means.argmax(-1).cpu().data<long>().ToArray();
            var values = means.to(ScalarType.Float32).cpu().data<float>().ToArray();
            for (var i = 0; i < pass.Count; i++)
            {
                var label = NumberOf(Development[pass[i].At]);
                if (guesses[i] == label) right++;
                loss -= values[(i * Labels.Count) + label];
            }
        }
        return new SearchCandidate(
            template,
            words,
            right / rows.Count,
            loss / rows.Count,
            found,
            from);
    }
}
