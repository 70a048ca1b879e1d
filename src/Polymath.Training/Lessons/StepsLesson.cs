using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Scoring;
using Polymath.Training.Stages;

namespace Polymath.Training.Lessons;

/// <summary>A reward model learns which steps of an answer are right.</summary>
internal static class StepsLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="spec">How steps are laid out.</param>
    internal static Lesson Of(LessonContext context, StepLabelsSpec spec)
    {
        var (stage, data) = (context.Stage.Name, context.Data);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        var changes = new RowChanges();
        var items = Items(context, spec, data.Rows(DataSplit.Train), changes);
        var counts = changes.Of(items);
        PreferenceItems.RequireSome(stage, counts);
        context.NoteRows();
        context.Note(counts.Told());
        var heldOut = Items(context, spec, data.HeldOutRows(context.HeldOutRows, context.Seed), new RowChanges());
        return new Lesson(new StepLabels(), context.Source(items), heldOut, counts);
    }

    private static List<Item> Items(
        LessonContext context,
        StepLabelsSpec spec,
        IReadOnlyList<Row> rows,
        RowChanges changes)
    {
        var items = new List<Item>();
        foreach (var row in rows)
        {
            var (prompt, steps, right) = Read(context.Stage.Name, row);
            var laid = SteppedRow.Of(
                row.Name,
                prompt,
                steps,
                spec.Separator,
                context.Model,
                context.Room);
            if (laid.Places.Count < steps.Count && context.Batch.Overlong == OverlongPolicy.Refuse)
                throw new InputException($"Stage {context.Stage.Name}: {row.Name} is longer than {context.Room:N0} tokens, and "
                    + "batch.overlong is refuse. Choose cut or drop, or raise maxLength.");
            if (laid.Places.Count == 0 || (laid.Places.Count < steps.Count && context.Batch.Overlong == OverlongPolicy.Drop))
            {
                changes.Count($"left out: {(laid.Places.Count == 0 ? "no step" : "longer than what is")} within {context.Room:N0} tokens",
                    true,
                    row.Name);
                continue;
            }
            if (laid.Places.Count < steps.Count) changes.Count($"cut to {context.Room:N0} tokens", false, row.Name);
            var first = spec.LastOnly ? laid.Places.Count - 1 : 0;
            items.Add(new StepItem(
                [laid.Row with { Data = row.Data }],
                [.. laid.Places.Skip(first)],
                [.. right.Take(laid.Places.Count).Skip(first)]));
        }
        return items;
    }

    private static (string Prompt, IReadOnlyList<string> Steps, IReadOnlyList<bool> Right) Read(string stage, Row row)
    {
        if (!row.Fields.TryGetValue("completions", out var steps) || !row.Fields.TryGetValue("labels", out var labels))
            throw new InputException($"Stage {stage}: {row.Name} has no steps with labels. Give its source shape: steps.");
        return (
            RowTalk.Of(row).LastUser(),
            [.. JsonNode.Parse(steps)!.AsArray().Select(step => step!.ToString())],
            [.. JsonNode.Parse(labels)!.AsArray().Select(label => label!.GetValue<bool>())]);
    }
}
