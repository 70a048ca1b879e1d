using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;

namespace Polymath.Tests.Text;

/// <summary>What is hidden from models that read in both directions.</summary>
[Trait("kind", "unit")]
public sealed class HiddenWordsTests
{
    private const int Mask = 3;

    private static readonly int[] words = [.. Enumerable.Range(100, 400)];

    private static TokenRow Row(int length) => new(
        [1, .. Enumerable.Range(10, length), 2], [0, .. Enumerable.Repeat(1f, length), 0], "row");

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 1)]
    [InlineData(10, 2)]
    [InlineData(40, 6)]
    [InlineData(50, 8)]
    public void As_many_words_as_the_share_says_are_learned_and_never_a_mark(int length, int count)
    {
        var row = new HiddenWords(new MaskSpec(), words).Masked(Row(length), Mask, new RandomStream(1, "row"));
        Assert.Equal(count, row.Targets);
        Assert.Equal((1, 2, -100, -100), (row.Ids[0], row.Ids[^1], row.Hidden![0], row.Hidden[^1]));
        for (var i = 0; i < row.Length; i++)
            if (row.Hidden[i] >= 0) Assert.Equal(Row(length).Ids[i], row.Hidden[i]);
            else Assert.Equal(Row(length).Ids[i], row.Ids[i]);
    }

    [Fact]
    public void Eight_of_ten_words_are_masks_one_is_random_and_one_is_itself()
    {
        var hides = new HiddenWords(new MaskSpec(), words);
        int masks = 0, random = 0, own = 0;
        var places = new int[42];
        for (var i = 0; i < 2000; i++)
        {
            var row = hides.Masked(Row(40), Mask, new RandomStream(7, "rows", i));
            foreach (var place in Enumerable.Range(0, row.Length).Where(place => row.Hidden![place] >= 0))
            {
                places[place]++;
                if (row.Ids[place] == Mask) masks++;
                else if (row.Ids[place] == row.Hidden![place]) own++;
                else random++;
            }
        }
        Assert.Equal(12000, masks + random + own);
        // Three standard deviations of a share of 12,000.
        Assert.InRange(masks / 12000.0, 0.8 - 0.011, 0.8 + 0.011);
        Assert.InRange(random / 12000.0, 0.1 - 0.0083, 0.1 + 0.0083);
        Assert.All(places[1..^1], count => Assert.InRange(count, 240, 360));
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(7, 1)]
    [InlineData(40, 2)]
    [InlineData(200, 10)]
    public void A_row_with_its_gaps_filled_by_the_answer_is_the_row(int length, int spans)
    {
        int[] gaps = [.. Enumerable.Range(1000, 30)], end = [2];
        for (var seed = 0; seed < 20; seed++)
        {
            var row = new HiddenWords(new MaskSpec(), []).WithGaps(Row(length), gaps, end, new RandomStream(seed, "row"));
            var cut = Array.FindIndex(row.Learn, weight => weight != 0);
            int[] source = row.Ids[..cut], answer = row.Ids[cut..];
            Assert.Equal(2, answer[^1]);
            Assert.Equal(gaps[..spans], source.Where(id => id >= 1000));
            Assert.Equal(gaps[..spans], answer.Where(id => id >= 1000));
            Assert.Equal(length, source.Length - 2 + answer.Length - 1 - (2 * spans));
            List<int> filled = [];
            foreach (var id in source)
                if (id < 1000) filled.Add(id);
                else filled.AddRange(answer[(Array.IndexOf(answer, id) + 1)..^1].TakeWhile(next => next < 1000));
            Assert.Equal(Row(length).Ids, filled);
        }
    }
}
