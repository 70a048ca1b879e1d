using System.Globalization;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Scoring;

namespace Polymath.Training.Lessons;

/// <summary>A reward model learns which of two answers people prefer.</summary>
internal static class RewardLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="spec">The stage's settings.</param>
    internal static Lesson Of(LessonContext context, RewardModelSpec spec)
    {
        var (items, heldOut, counts) = PairsLesson.Read(context, (row, answers) => new RewardItem(answers, Margin(context, row)));
        return new Lesson(new RewardPairs(new BradleyTerry(spec.Centering)), context.Source(items), heldOut, counts);
    }

    private static double Margin(LessonContext context, Row row)
    {
        if (!row.Fields.TryGetValue("margin", out var text)) return 0;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var margin) && double.IsFinite(margin)
            ? margin
            : throw new InputException($"Stage {context.Stage.Name}: {row.Name} has the margin '{text}', which is no number. "
                + "Correct the row, or leave the column out with ignore: [margin].");
    }
}
