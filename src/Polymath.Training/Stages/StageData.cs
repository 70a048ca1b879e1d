using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Stages;

/// <summary>A stage's data in the forms that are needed: texts for the tokenizer, items for training, prompts for sampling.</summary>
public sealed class StageData
{
    private const int HeldRows = 8, HeldTokens = 256;

    private static readonly string[] sides = ["chosen", "rejected"];

    private readonly StageSpec stage;
    private readonly Corpora corpora;
    private readonly TextContract contract;
    private readonly FieldText first;
    private readonly FieldText? answer;
    private readonly PromptTemplate? asks;
    private readonly IReadOnlyList<QuestionSpec> chain = [];
    private readonly SpanRows? spans;

    /// <summary>The data of a stage.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="corpora">The sources.</param>
    /// <param name="contract">The layout.</param>
    public StageData(StageSpec stage, Corpora corpora, TextContract contract)
    {
        ArgumentNullException.ThrowIfNull(stage);
        (this.stage, this.corpora, this.contract) = (stage, corpora, contract);
        // The texts are those of every model; what a model cannot read is refused when it is there.
        if (stage is { Objective: TaskSpec, Method: PromptMethod asked }) (asks, chain) = (Texts(asked.Asks()[0]), asked.Chain ?? []);
        if (stage is { Objective: TaskSpec, Method: PromptMethod { Spans: { } spec } }) spans = new SpanRows(spec, stage);
        (first, answer) = stage.Objective switch
        {
            PretrainSpec read => (new FieldText(read.Text), null),
            FinetuneSpec { Prompt: { } prompt, Answer: { } reply } => (new FieldText(prompt), new FieldText(reply)),
            FinetuneSpec or RewardModelSpec or AlignSpec { Rollout: null } => (new FieldText(""), (FieldText?)null),
            AlignSpec align => (new FieldText(align.Prompt!), null),
            TaskSpec task => (new FieldText(task.Reads), (FieldText?)null),
            _ => throw new InvalidOperationException($"The objective {stage.Objective.Kind} has no data shape."),
        };
    }

    private static PromptTemplate Texts(AskSpec ask) =>
        PromptTemplate.Written(ask.Template, forward: true, answers: ask.Verbalizer!.Answers);

    /// <summary>Whether it is a stage's data: later rounds may read otherwise.</summary>
    /// <param name="other">The stage.</param>
    internal bool IsOf(StageSpec other) => other.Name == stage.Name && other.Objective.Equals(stage.Objective)
        && Equals(other.Data, stage.Data) && Equals(other.Method, stage.Method) && Equals(other.Batch, stage.Batch);

    private bool Talks => stage.Objective is RewardModelSpec || stage.ReadsPairs || stage.ReadsJudged || stage.ReadsAnswers;

    /// <summary>
    /// The rows of a part of the data. When rows say whether their answer is good, a finetune stage reads only the good ones; a task that
    /// is asked span by span has a row for each span that is trained.
    /// </summary>
    /// <param name="split">The part.</param>
    /// <exception cref="InputException">A field that the stage trains on as a text is an object or a list.</exception>
    public IReadOnlyList<Row> Rows(DataSplit split) => spans?.Of(Whole(split), split, corpora.Seed) ?? Whole(split);

    /// <summary>The sentences of a part of the data, where a task is asked span by span.</summary>
    /// <param name="split">The part.</param>
    internal IReadOnlyList<Sentence> Sentences(DataSplit split) => [.. Whole(split).Select(spans!.Read)];

    private List<Row> Whole(DataSplit split)
    {
        List<Row> rows = [.. All(split).Where(row => !IsBad(row))];
        foreach (var row in rows.Where(row => row.NoTexts is not null))
            FieldUse.RequireTexts(stage, row);
        return rows;
    }

    /// <summary>What is to be reported of the layout of the stage's conversations; empty for nothing.</summary>
    internal IEnumerable<string> LayoutNotes =>
        stage.Objective is FinetuneSpec or AlignSpec or RewardModelSpec ? new[] { contract.Note, contract.Idle }.OfType<string>() : [];

    /// <summary>What of the stage's rows is not learned as it stands.</summary>
    public SourceReport Report { get; } = new();

    private IEnumerable<Row> All(DataSplit split) =>
        stage.Sources.SelectMany(name => corpora.Rows(name).Where(row => row.Split == split).Select(row => row with { Data = name }));

    private bool IsBad(Row row) =>
        stage.ReadsAnswers && row.Fields.ContainsKey("messages")
            && row.Fields.GetValueOrDefault("label") == "false";

    /// <summary>Counts what is not learned of a part's rows, before tokenization.</summary>
    /// <param name="split">The part.</param>
    /// <param name="recipe">The recipe.</param>
    internal void Tell(DataSplit split, Recipe recipe)
    {
        foreach (var name in stage.Sources.Distinct())
            Report.Add(corpora.Report(name));
        foreach (var row in All(split))
        {
            FieldUse.RequireTexts(stage, row);
            if (IsBad(row))
                Report.Count("the label says that an answer is not good, and the row is left out", row.Name);
            else
                foreach (var field in FieldUse.Unused(stage, recipe, row))
                {
                    FieldUse.RefuseFlag(stage, row, field);
                    Report.Count($"field '{field}' is not used by stage {stage.Name}", row.Name);
                }
        }
        spans?.Of(Whole(split), split, corpora.Seed, Report);
    }

    /// <summary>Counts what the template does not print of a part's rows, or prints otherwise.</summary>
    /// <param name="split">The part.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">A row cannot be laid out.</exception>
    internal void TellRenderings(DataSplit split, Tokenizer tokenizer)
    {
        foreach (var row in Rows(split))
        {
            if (!stage.ReadsPairs)
                Report.Count(Render(row, tokenizer));
            else
                foreach (var side in sides.Where(row.Fields.ContainsKey))
                    Report.Count(contract.Render(RowTalk.Side(row, side), tokenizer));
        }
    }

    /// <summary>
    /// The labels of a task's training rows: by decreasing frequency for a prompt, by name for a head, which stores the order.
    /// </summary>
    public IReadOnlyList<string> Labels()
    {
        var label = ((TaskSpec)stage.Objective).Label;
        var rows = Rows(DataSplit.Train);
        if (rows.Count > 0 && rows.All(row => !row.Fields.ContainsKey(label)))
            throw new InputException($"Stage {stage.Name}: its label is the field '{label}', and no row has the field '{label}'. "
                + $"{Nearest.Hint(label, [.. rows[0].Fields.Keys], "fields")}.");
        if (stage.TrainsLabels)
            return [.. rows.Select(row => row.Fields.GetValueOrDefault(label, ""))
                .Distinct().Order(StringComparer.Ordinal)];
        // A span may be no entity, also where no such span is trained.
        return [.. rows.GroupBy(row => row.Fields.GetValueOrDefault(label, ""))
            .OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).Select(group => group.Key)
            .Concat(spans is null ? [] : [spans.None]).Distinct()];
    }

    /// <summary>The text of a row as a stage that reads has it.</summary>
    /// <param name="row">The row.</param>
    internal string Text(Row row) => first.Fill(row.Fields);

    /// <summary>What the user says in a row, before any conversion.</summary>
    /// <param name="row">The row.</param>
    public string Prompt(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return Talks ? RowTalk.Of(row).LastUser() : first.Fill(row.Fields);
    }

    /// <summary>
    /// Some rows as tokens, to compare a model before and after a change: validation rows, or training rows when there are none.
    /// </summary>
    /// <param name="model">The model that reads the tokens.</param>
    public IReadOnlyList<int[]> HeldOutPrompts(TextModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var rows = Rows(DataSplit.Validation) is { Count: > 0 } some ? some : Rows(DataSplit.Train);
        int[] Tokens(Row row)
        {
            if (stage.TrainsLabels)
                return new LabelledText(model.Tokenizer).Read(row.Name, first.Fill(row.Fields)).Ids;
            if (asks is not null) return Asked(row, model);
            return stage.Objective is AlignSpec or RewardModelSpec
                ? model.Contract.Encode([new Turn(Prompt(row))], model.Tokenizer)
                : Render(row, model.Tokenizer).Tokenize(model.Tokenizer).Ids;
        }
        return [.. rows.Take(HeldRows).Select(Tokens).Where(ids => ids.Length > 0).Select(ids => ids[..Math.Min(ids.Length, HeldTokens)])];
    }

    // A row with the answers to the earlier questions of a chain, as far as it gives them.
    private IReadOnlyDictionary<string, string> Known(Row row) => chain.Count == 0
        ? row.Fields
        : new Dictionary<string, string>([
            .. row.Fields.Where(field => !chain.Any(question => question.Name == field.Key)),
            .. chain.Select(question => KeyValuePair.Create(question.Name, question.Given(row.Fields) ?? "")),
        ]);

    // Without the vectors of soft tokens, as after the stage, the model reads the rest of the prompt.
    private int[] Asked(Row row, TextModel model)
    {
        var ask = ((PromptMethod)stage.Method!).Asks()[0];
        var ids = new PromptReader(model, ask, ask.Verbalizer!.Answers).Row(row.Name, Known(row)).Ids;
        return [.. ids.Where(id => id < model.Model.Tokens.InlineStart || model.Model.Tokens.Inline is not null)];
    }

    // The texts of a filled prompt, without the place of its answer.
    private Rendering Filled(Row row) => new(
        row.Name,
        [
            .. asks!.Wrap(new PromptExample(row.Name, Known(row), row.Fields))
                .Where(piece => piece.Kind is PieceKind.Template or PieceKind.Given)
                .Select(piece => new RenderedSpan(SpanKind.Text, piece.Text, Learn: false, Shortenable: piece.Kind == PieceKind.Given)),
        ]);

    /// <summary>A row as the model reads it.</summary>
    /// <param name="row">The row.</param>
    /// <param name="tokenizer">The tokenizer; null when only texts are needed.</param>
    public Rendering Render(Row row, Tokenizer? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(row);
        var template = contract.Template;
        return stage.Objective switch
        {
            _ when Talks => contract.Render(RowTalk.Of(row), tokenizer),
            PretrainSpec => template.Render(new Document(row.Name, first.Fill(row.Fields))),
            TaskSpec when asks is not null => Filled(row),
            TaskSpec task => template.Render(new Labelled(row.Name, row.Fields, row.Fields.GetValueOrDefault(task.Label, "")), first),
            _ => contract.Render(new Conversation(row.Name, [new Turn(Prompt(row), answer?.Fill(row.Fields))]), tokenizer),
        };
    }

    /// <summary>The items of a part of the data, and the counts of its rows.</summary>
    /// <param name="split">The part.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="batch">The length of rows, and what happens to longer ones.</param>
    /// <param name="labels">A task's labels.</param>
    /// <param name="promptEnd">The token up to which the model reads in both directions; null for none.</param>
    /// <param name="asked">A task that prompts ask for; null where none asks.</param>
    /// <param name="learned">Whether the items are learned, not asked; a task may need fewer rows then.</param>
    /// <exception cref="InputException">Rows begin twice, never end, or lose too much, or the model would see what it should foretell; no
    /// row is left that trains a token, or a row is too long and the policy refuses it.</exception>
    public (IReadOnlyList<Item> Items, RowCounts Counts) Items(
        DataSplit split,
        Tokenizer tokenizer,
        BatchSpec batch,
        IReadOnlyList<string>? labels = null,
        int? promptEnd = null,
        AskedTask? asked = null,
        bool learned = false)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var made = new StageItems(stage, batch, labels, Fills(promptEnd));
        var heading = stage.TrainsLabels ? new LabelledText(tokenizer) : null;
        var checks = stage.Objective is TaskSpec ? null : new TargetChecks(stage.Name, contract, tokenizer, promptEnd);
        foreach (var row in Rows(split))
        {
            if (asked is not null)
            {
                made.AddAsked(row, asked, learned);
                continue;
            }
            var rendering = heading is null ? Render(row, tokenizer) : null;
            if (rendering is not null)
                Report.Count(rendering);
            made.Add(row, Tokens, checks);
            TokenRow Tokens(int most) => rendering?.Tokenize(tokenizer, most) ?? heading!.Read(row.Name, first.Fill(row.Fields), most);
        }
        made.Finish();
        if (made.Untrained.Count > 0)
            throw new InputException($"Stage {stage.Name}: {made.Untrained.Count} rows train no token (such as "
                + $"{string.Join(", ", made.Untrained.Take(3))}): their answers are empty, or batch.maxLength {batch.MaxLength} leaves "
                + "nothing of them. Filter them with where, or raise maxLength.");
        checks?.Finish(batch.MaxCut);
        if (made.Items.Count == 0)
            throw NoRows(split, made.Counts);
        return (made.Items, made.Counts);
    }

    // A model that reads a beginning in both directions needs its marks in every row.
    private bool Fills(int? promptEnd) => stage.FillsRows && promptEnd is null;

    /// <summary>The reason that holds: rows that were left out, or none that the split gave.</summary>
    /// <param name="split">The part of the data.</param>
    /// <param name="counts">What became of its rows.</param>
    internal InputException NoRows(DataSplit split, RowCounts counts)
    {
        var name = split.ToString().ToLowerInvariant();
        if (counts.Dropped > 0)
            return new InputException($"Stage {stage.Name} has no {name} rows: "
                + $"{string.Join("; ", counts.Changed.Select(change => $"{change.Rows:N0} {change.What}"))}. Raise batch.maxLength, or "
                + "name other data.");
        var all = stage.Sources.Sum(source => corpora.Rows(source).Count);
        var source = stage.Sources[0];
        return new InputException($"Stage {stage.Name} has no {name} rows: none of the {all:N0} rows of "
            + $"{string.Join(", ", stage.Sources)} is "
            + (split == DataSplit.Train
                ? "one. Lower data." + source + ".split, or correct where."
                : $"one, by the shares of split. Raise data.{source}.split.{name}, or name files of their own: data.{source}.{name}."));
    }

    /// <summary>
    /// Some validation rows as items, in a fixed order; none where there are none. Rows that train no token, or have a label that no
    /// training row has, are left out.
    /// </summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="batch">The length of rows, and what happens to longer ones.</param>
    /// <param name="labels">A task's labels.</param>
    /// <param name="most">The most rows.</param>
    /// <param name="seed">The run's seed, by which they are chosen.</param>
    /// <param name="promptEnd">The token up to which the model reads in both directions; null for none.</param>
    /// <param name="asked">A task that prompts ask for; null where none asks.</param>
    internal IReadOnlyList<Item> HeldOut(
        Tokenizer tokenizer,
        BatchSpec batch,
        IReadOnlyList<string>? labels,
        int most,
        long seed,
        int? promptEnd,
        AskedTask? asked = null)
    {
        var rows = Rows(DataSplit.Validation);
        if (rows.Count == 0 || most == 0) return [];
        var fills = Fills(promptEnd);
        var made = new StageItems(
            stage, batch.Overlong == OverlongPolicy.Refuse ? batch with { Overlong = OverlongPolicy.Cut } : batch, labels, fills);
        var heading = stage.TrainsLabels ? new LabelledText(tokenizer) : null;
        // Rows that are filled are chosen when they are full.
        foreach (var row in fills ? rows : Chosen(rows, most, seed))
        {
            if (stage.Objective is TaskSpec task && labels?.Contains(row.Fields.GetValueOrDefault(task.Label, "")) != true)
                continue;
            if (asked is not null)
            {
                made.AddAsked(row, asked, learned: true);
                continue;
            }
            var rendering = heading is null ? Render(row, tokenizer) : null;
            made.Add(row, Tokens, null);
            TokenRow Tokens(int most) => rendering?.Tokenize(tokenizer, most) ?? heading!.Read(row.Name, first.Fill(row.Fields), most);
        }
        made.Finish();
        return fills ? Chosen(made.Items, most, seed) : made.Items;
    }

    /// <summary>Some validation rows, in a fixed order.</summary>
    /// <param name="most">The most rows.</param>
    /// <param name="seed">The run's seed, by which they are chosen.</param>
    internal IReadOnlyList<Row> HeldOutRows(int most, long seed) => Chosen(Rows(DataSplit.Validation), most, seed);

    /// <summary>Some of all, in a fixed order.</summary>
    /// <param name="all">All.</param>
    /// <param name="most">The most.</param>
    /// <param name="seed">The run's seed, by which they are chosen.</param>
    internal IReadOnlyList<T> Chosen<T>(IReadOnlyList<T> all, int most, long seed)
    {
        if (all.Count == 0) return all;
        var order = new Permutation(all.Count, seed, $"held out of {stage.Name}", 0);
        return [.. Enumerable.Range(0, Math.Min(most, all.Count)).Select(i => all[order[i]])];
    }
}
