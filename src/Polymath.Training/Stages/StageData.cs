using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;

namespace Polymath.Training.Stages;

/// <summary>What became of a stage's rows on their way to tokens.</summary>
/// <param name="Rows">The rows that train.</param>
/// <param name="Tokens">Their tokens.</param>
/// <param name="Targets">Their targets.</param>
/// <param name="Cut">Rows that were cut.</param>
/// <param name="Split">Rows that were split.</param>
/// <param name="Dropped">Rows that were left out.</param>
public sealed record RowCounts(
    int Rows,
    long Tokens,
    long Targets,
    int Cut,
    int Split,
    int Dropped);

/// <summary>A stage's data in the shapes it is used in: texts for the tokenizer, items for training, prompts for sampling.</summary>
public sealed class StageData
{
    private const int HeldRows = 8, HeldTokens = 256;

    private static readonly string[] sides = ["chosen", "rejected"];

    private readonly StageSpec stage;
    private readonly Corpora corpora;
    private readonly TextContract contract;
    private readonly FieldText first;
    private readonly FieldText? answer;

    /// <summary>The data of a stage.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="corpora">The sources.</param>
    /// <param name="contract">The layout.</param>
    public StageData(StageSpec stage, Corpora corpora, TextContract contract)
    {
        ArgumentNullException.ThrowIfNull(stage);
        (this.stage, this.corpora, this.contract) = (stage, corpora, contract);
        (first, answer) = stage.Objective switch
        {
            PretrainSpec spec => (new FieldText(spec.Text), null),
            FinetuneSpec { Prompt: { } prompt, Answer: { } reply } => (new FieldText(prompt), new FieldText(reply)),
            FinetuneSpec or PreferSpec => (new FieldText(""), (FieldText?)null),
            AlignSpec spec => (new FieldText(spec.Prompt), null),
            TaskSpec task => (new FieldText(stage.Method is PromptMethod prompt ? prompt.Template : task.Reads), (FieldText?)null),
            _ => throw new InvalidOperationException($"The objective {stage.Objective.Kind} has no data shape."),
        };
    }

    private bool Talks => stage.Objective is FinetuneSpec { Prompt: null } or PreferSpec;

    /// <summary>
    /// The rows of a part of the data; of rows that say whether their answer is good, a finetune stage takes the good ones.
    /// </summary>
    /// <param name="split">The part.</param>
    public IReadOnlyList<Row> Rows(DataSplit split) => [.. All(split).Where(row => !IsBad(row))];

    /// <summary>What is to be told of the layout of the stage's conversations; null for nothing.</summary>
    internal string? LayoutNote => stage.Objective is FinetuneSpec or PreferSpec or AlignSpec ? contract.Note : null;

    /// <summary>What of the stage's rows is not learned as it stands.</summary>
    public SourceReport Report { get; } = new();

    private IEnumerable<Row> All(DataSplit split) =>
        stage.Data.SelectMany(name => corpora.Rows(name).Where(row => row.Split == split).Select(row => row with { Data = name }));

    private bool IsBad(Row row) =>
        stage.Objective is FinetuneSpec { Prompt: null } && row.Fields.ContainsKey("messages")
            && row.Fields.GetValueOrDefault("label") == "false";

    /// <summary>Counts what of a part's rows is not learned, before they become tokens.</summary>
    /// <param name="split">The part.</param>
    /// <param name="recipe">The recipe.</param>
    internal void Tell(DataSplit split, Recipe recipe)
    {
        foreach (var name in stage.Data.Distinct())
            Report.Add(corpora.Report(name));
        foreach (var row in All(split))
        {
            if (IsBad(row))
                Report.Count("an answer is not good by its label, and the row is left out", row.Name);
            else
                foreach (var field in FieldUse.Unused(stage, recipe, row))
                    Report.Count($"field '{field}' is not used by stage {stage.Name}", row.Name);
        }
    }

    /// <summary>Counts what the template does not print of a part's rows, or prints otherwise.</summary>
    /// <param name="split">The part.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">A row cannot be laid out.</exception>
    internal void TellRenderings(DataSplit split, Tokenizer tokenizer)
    {
        foreach (var row in Rows(split))
        {
            if (stage.Objective is not PreferSpec)
                Report.Count(Render(row, tokenizer));
            else
                foreach (var side in sides.Where(row.Fields.ContainsKey))
                    Report.Count(contract.Render(RowTalk.Side(row, side), tokenizer));
        }
    }

    /// <summary>
    /// The labels of a task's training rows: by falling frequency for a prompt; by name for a head, which keeps the order.
    /// </summary>
    public IReadOnlyList<string> Labels()
    {
        var label = ((TaskSpec)stage.Objective).Label;
        if (stage.TrainsHead)
            return [.. Rows(DataSplit.Train).Select(row => row.Fields.GetValueOrDefault(label, ""))
                .Distinct().Order(StringComparer.Ordinal)];
        return [.. Rows(DataSplit.Train).GroupBy(row => row.Fields.GetValueOrDefault(label, ""))
            .OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).Select(group => group.Key)];
    }

    /// <summary>What the user says in a row's place, before any conversion.</summary>
    /// <param name="row">The row.</param>
    public string Prompt(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return Talks ? RowTalk.Of(row).LastUser() : first.Fill(row.Fields);
    }

    /// <summary>
    /// Some held rows as tokens, for comparing a model before and after it is changed: of the validation rows, or of the training rows
    /// where there are none.
    /// </summary>
    /// <param name="model">The model whose tokens they are.</param>
    public IReadOnlyList<int[]> HeldOutPrompts(TextModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var rows = Rows(DataSplit.Validation) is { Count: > 0 } some ? some : Rows(DataSplit.Train);
        int[] Tokens(Row row)
        {
            if (stage.TrainsHead)
                return new LabelledText(model.Tokenizer).Read(row.Name, first.Fill(row.Fields)).Ids;
            return stage.Objective is AlignSpec or PreferSpec
                ? model.Contract.Encode([new Turn(Prompt(row))], model.Tokenizer)
                : Render(row, model.Tokenizer).Tokenize(model.Tokenizer).Ids;
        }
        return [.. rows.Take(HeldRows).Select(Tokens).Where(ids => ids.Length > 0).Select(ids => ids[..Math.Min(ids.Length, HeldTokens)])];
    }

    /// <summary>A row as the model reads it.</summary>
    /// <param name="row">The row.</param>
    /// <param name="tokenizer">The tokenizer; null where only texts are asked for.</param>
    public Rendering Render(Row row, Tokenizer? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(row);
        var template = contract.Template;
        return stage.Objective switch
        {
            _ when Talks => contract.Render(RowTalk.Of(row), tokenizer),
            PretrainSpec => template.Render(new Document(row.Name, first.Fill(row.Fields))),
            TaskSpec task => template.Render(new Labelled(row.Name, row.Fields, row.Fields.GetValueOrDefault(task.Label, "")), first),
            _ => contract.Render(new Conversation(row.Name, [new Turn(Prompt(row), answer?.Fill(row.Fields))]), tokenizer),
        };
    }

    /// <summary>The items of a part of the data, and what became of its rows.</summary>
    /// <param name="split">The part.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="maxLength">The most tokens of a row.</param>
    /// <param name="policy">What happens to longer ones.</param>
    /// <param name="labels">A task's labels.</param>
    /// <param name="maxCut">The greatest share of target tokens that may be cut off.</param>
    /// <param name="promptEnd">The token up to which the model reads in both directions; null for none.</param>
    /// <exception cref="InputException">Rows begin twice, never end, or lose too much, or the model would see what it should foretell; no
    /// row is left that trains a token, or a row is too long and the policy refuses it.</exception>
    public (IReadOnlyList<Item> Items, RowCounts Counts) Items(
        DataSplit split,
        Tokenizer tokenizer,
        int maxLength,
        OverlongPolicy policy,
        IReadOnlyList<string>? labels = null,
        double maxCut = 1,
        int? promptEnd = null)
    {
        var items = new List<Item>();
        int cut = 0, splits = 0, dropped = 0;
        var untrained = new List<string>();
        var task = stage.Objective as TaskSpec;
        var heading = stage.TrainsHead ? new LabelledText(tokenizer) : null;
        var checks = task is null ? new TargetChecks(stage.Name, contract, tokenizer) : null;
        foreach (var row in Rows(split))
        {
            var rendering = heading is null ? Render(row, tokenizer) : null;
            if (rendering is not null)
                Report.Count(rendering);
            var whole = rendering?.Tokenize(tokenizer) ?? heading!.Read(row.Name, first.Fill(row.Fields));
            List<TokenRow> fitting = [whole];
            if (whole.Length > maxLength)
            {
                fitting = Shorten(
                    most => rendering?.Tokenize(tokenizer, most) ?? heading!.Read(row.Name, first.Fill(row.Fields), most),
                    whole,
                    maxLength,
                    policy);
                if (fitting.Count == 0) dropped++;
                else if (policy == OverlongPolicy.Split && stage.Objective is PretrainSpec) splits++;
                else cut++;
            }
            checks?.Add(whole, fitting);
            if (task is null) PromptEndCheck.Refuse(stage.Name, whole, promptEnd, tokenizer);
            foreach (var fit in fitting.Select(fit => fit with { Data = row.Data }))
            {
                if (task is not null) items.Add(new Item([fit], Label: LabelOf(row, task, labels!)));
                else if (fit.Targets > 0) items.Add(new Item([fit]));
                else untrained.Add(fit.Source);
            }
        }
        if (untrained.Count > 0)
            throw new InputException($"Stage {stage.Name}: {untrained.Count} rows train no token (such as "
                + $"{string.Join(", ", untrained.Take(3))}): their answers are empty, or batch.maxLength {maxLength} leaves nothing of "
                + "them. Filter them with where, or raise maxLength.");
        if (items.Count == 0)
            throw new InputException($"Stage {stage.Name} has no {split.ToString().ToLowerInvariant()} rows: {dropped} were dropped as too "
                + "long. Check data, where and batch.maxLength.");
        checks?.Finish(maxCut);
        return (items, new RowCounts(
            items.Count,
            items.Sum(item => (long)item.Tokens),
            items.Sum(item => item.Rows.Sum(row => (long)row.Targets)),
            cut,
            splits,
            dropped));
    }

    private List<TokenRow> Shorten(Func<int, TokenRow> tokenize, TokenRow row, int maxLength, OverlongPolicy policy)
    {
        switch (policy)
        {
            case OverlongPolicy.Refuse:
                throw new InputException($"Stage {stage.Name}: {row.Source} has {row.Length} tokens, more than the {maxLength} "
                    + "allowed, and batch.overlong is refuse. Choose cut, split or drop, or raise maxLength.");
            case OverlongPolicy.Drop:
                return [];
            case OverlongPolicy.Split when stage.Objective is PretrainSpec:
                // Pieces share one token, so that each of the row's tokens but the first stays a target.
                var pieces = new List<TokenRow>();
                for (var at = 0; at + 1 < row.Length; at += maxLength - 1)
                {
                    var end = Math.Min(at + maxLength, row.Length);
                    pieces.Add(new TokenRow(row.Ids[at..end], row.Learn[at..end], row.Source));
                }
                return pieces;
            default:
                var shortened = tokenize(maxLength);
                var end2 = Math.Min(maxLength, shortened.Length);
                var left = new TokenRow(shortened.Ids[..end2], shortened.Learn[..end2], row.Source);
                return stage.Objective is TaskSpec || left.Targets > 0 ? [left] : [];
        }
    }

    private int LabelOf(Row row, TaskSpec task, IReadOnlyList<string> labels)
    {
        var value = row.Fields.GetValueOrDefault(task.Label, "");
        for (var i = 0; i < labels.Count; i++)
            if (labels[i] == value) return i;
        throw new InputException($"Stage {stage.Name}: {row.Name} has the label '{value}', which no training row has. Labels are "
            + $"{string.Join(", ", labels)}.");
    }
}
