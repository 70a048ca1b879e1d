using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Corpora;

/// <summary>Few rows for training and as many others for validation.</summary>
[Trait("kind", "unit")]
public sealed class FewRowsTests
{
    private static List<Row> All(int count) => [.. Enumerable.Range(0, count).Select(i => new Row(
        $"key {i:D4}",
        (i % 10) switch { 0 => DataSplit.Test, 1 => DataSplit.Validation, _ => DataSplit.Train },
        new Dictionary<string, string> { ["kind"] = i % 3 == 0 ? "rare" : "usual", ["text"] = $"{i}" }))];

    private static IReadOnlyList<Row> Few(IReadOnlyList<Row> rows, int count, int seed) =>
        FewRows.Of("few", rows, new FewSpec("kind", count), seed);

    private static HashSet<string> Keys(IEnumerable<Row> rows, DataSplit split) =>
        [.. rows.Where(row => row.Split == split).Select(row => row.Key)];

    [Fact]
    public void Each_label_has_so_many_rows_for_training_and_as_many_for_validation()
    {
        var rows = All(300);
        var few = Few(rows, 16, 1);
        foreach (var split in new[] { DataSplit.Train, DataSplit.Validation })
            Assert.Equal(
                [("rare", 16), ("usual", 16)],
                few.Where(row => row.Split == split).GroupBy(row => row.Fields["kind"]).Select(group => (group.Key, group.Count()))
                    .Order());
        Assert.Equal(Keys(rows, DataSplit.Test), Keys(few, DataSplit.Test));
        Assert.Subset(Keys(rows, DataSplit.Train), Keys(few, DataSplit.Train));
        Assert.Subset(Keys(rows, DataSplit.Train), Keys(few, DataSplit.Validation));
        Assert.Empty(Keys(few, DataSplit.Train).Intersect(Keys(few, DataSplit.Validation)));
    }

    [Fact]
    public void A_seed_draws_the_same_rows_whatever_their_order_and_another_seed_others()
    {
        var rows = All(300);
        var turned = rows.AsEnumerable().Reverse().ToList();
        Assert.Equal(Keys(Few(rows, 8, 3), DataSplit.Train), Keys(Few(turned, 8, 3), DataSplit.Train));
        Assert.Equal(Keys(Few(rows, 8, 3), DataSplit.Validation), Keys(Few(turned, 8, 3), DataSplit.Validation));
        Assert.NotEqual(Keys(Few(rows, 8, 3), DataSplit.Train), Keys(Few(rows, 8, 4), DataSplit.Train));
    }

    [Fact]
    public void A_label_with_too_few_rows_is_refused()
    {
        var fault = Assert.Throws<InputException>(() => Few(All(60), 9, 0));
        Assert.Contains("the kind 'rare' has 16 training rows", fault.Message, StringComparison.Ordinal);
        Assert.Contains("Lower few.count to 8 or less", fault.Message, StringComparison.Ordinal);
    }
}
