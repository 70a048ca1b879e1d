using Polymath.Runs.Reports;
using Polymath.Runs;

namespace Polymath.Tests.Runs;

/// <summary>Sample reports: four stages on Chinese verse, and an empty one.</summary>
internal static class SampleReports
{
    public static readonly IReadOnlyDictionary<string, bool> HigherIsBetter = new Dictionary<string, bool>
    {
        ["perplexity"] = false, ["form"] = true, ["tones"] = true, ["distinct2"] = true, ["author"] = true,
    };

    public static readonly RunReport Empty = new(
        "empty",
        "",
        0,
        null,
        null,
        null,
        [],
        [],
        [],
        new EnvironmentReport("", "", "", "", 0, "", ""),
        []);

    public static readonly RunReport Whole = new(
        "tang",
        "A small Llama learns Tang poetry from nothing - pretraining, finetuning, task learning and alignment.",
        7,
        812.4,
        0.412,
        new Dictionary<string, double> { ["author: majority"] = 0.412, ["author: naive Bayes"] = 0.587 },
        [
            new StageReport("pretrain", "pretrain", "full", 500, 251.3, 8142, 2_046_000, 3_021_504, 3_021_504, 8.61, 4.68, 1912),
            new StageReport("finetune", "finetune", "full", 250, 128.9, 7914, 1_020_112, 3_021_504, 3_021_504, 6.02, 4.43, 1987),
            new StageReport("task", "task", "prompt, lora", 186, 61.4, 9120, 560_400, 73_728, 3_095_232, 1.71, 0.94, 1990),
            new StageReport("align", "align", "full", 150, 142.2, 4870, 692_100, 3_021_504, 3_021_504, 0.693, 0.541, 2240),
        ],
        [
            Row("start", 6021, 0, 0.241, 0.994, 0.21),
            Row("pretrain", 142.7, 0.004, 0.462, 0.861, 0.23),
            Row("finetune", 151.2, 0.958, 0.571, 0.802, 0.22),
            Row("task", 158.9, 0.946, 0.566, 0.804, 0.634),
            Row("align", 171.3, 0.996, 0.858, 0.712, 0.618),
        ],
        [
            new SampleReport("pretrain", "", "送李判官\n一別江南路，春風幾度歸。"),
            new SampleReport("finetune", "以《春望》为题，写一首五言绝句。", "山色連天遠，江聲入夜長。故人千里外，明月滿寒塘。"),
            new SampleReport("task", "以《秋思》为题，写一首七言绝句。", "<script>alert('no')</script> & \"quoted\""),
            new SampleReport("align", "以《春望》为题，写一首五言律诗。", "日暮孤城外，春深萬木中。鳥啼花影亂，人去草堂空。野水連天碧，殘霞照岸紅。故園何處是，歸路月朦朧。"),
        ],
        new EnvironmentReport("Debian GNU/Linux 12", ".NET 10.0.12", "2.10.0", "AVX2", 2, "cpu", "0.1.0"),
        []);

    /// <summary>Losses that fall with noise, and the measurements during the stages.</summary>
    public static IReadOnlyList<MetricLine> Metrics()
    {
        var points = new List<MetricLine> { new("start", 0, "after perplexity", 6021) };
        foreach (var stage in Whole.Stages)
        {
            for (var step = 1; step <= stage.Steps; step++)
            {
                var noise = Math.Sin(step * 12.9898) * Math.Cos(step * 78.233) * 0.05 * stage.FirstLoss;
                points.Add(new(
                    stage.Name,
                    step,
                    "loss",
                    stage.LastLoss + (stage.FirstLoss - stage.LastLoss) * Math.Exp(-6.0 * step / stage.Steps) + noise));
            }
        }
        for (var step = 100; step <= 500; step += 100) points.Add(new("pretrain", step, "perplexity", 140 + 400 * Math.Exp(-step / 120.0)));
        for (var step = 50; step <= 150; step += 50)
        {
            points.Add(new("align", step, "form", 0.95 + step / 3500.0));
            points.Add(new("align", step, "tones", 0.57 + step / 520.0));
        }
        for (var step = 50; step <= 150; step += 50) points.Add(new("task", step, "author", 0.45 + step / 800.0));
        return points;
    }

    private static AbilityRow Row(
        string after,
        double perplexity,
        double form,
        double tones,
        double distinct,
        double author) =>
            new(after, new Dictionary<string, double>
            {
                ["perplexity"] = perplexity, ["form"] = form, ["tones"] = tones, ["distinct2"] = distinct, ["author"] = author,
            });
}
