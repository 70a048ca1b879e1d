using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

/// <summary>The unigram model and its trainer, against cases worked out by hand and against what must always hold.</summary>
[Trait("kind", "invariant")]
public class UnigramTests
{
    private static readonly string[] Corpus = File.ReadAllLines(TextFixtures.At("tokenizer-training", "corpus.txt"));

    [Fact]
    public void TheMostProbableWayIsFound()
    {
        // abc costs 5, ab and c cost 2 + 1.5, a and bc cost 1 + 4; an unknown character costs 10 more than the rarest token.
        var model = new UnigramModel([("<unk>", 0), ("a", -1), ("b", -3), ("c", -1.5), ("ab", -2), ("bc", -4), ("abc", -5)], 0, false);
        Assert.Equal([4, 3], model.Encode("abc"));
        Assert.Equal([1, 1, 0, 4], model.Encode("aa??ab"));
        Assert.Equal([5], model.Encode("bc"));
        Assert.Equal([], model.Encode(""));
    }

    [Fact]
    public void ExpectedCountsWorkedOutByHand()
    {
        // ab is written whole with 0.5 or in parts with 0.25 * 0.25: 8/9 and 1/9 of its ways.
        var lattice = new UnigramLattice([("<unk>", double.NaN), ("a", Math.Log(0.25)), ("b", Math.Log(0.25)), ("ab", Math.Log(0.5))]);
        var likelihood = double.NaN;
        var expected = lattice.Expect([("ab", 9)], value => likelihood = value);
        Assert.Equal([0, 1, 1, 8], expected.Select(value => Math.Round(value, 12)));
        Assert.Equal(Math.Log(0.5625), likelihood, 12);
        var (alone, others) = lattice.Alternatives("ab");
        Assert.True(alone);
        Assert.Equal([1, 2], others);
        Assert.Empty(lattice.Alternatives("a").Others);
        Assert.Equal([0.0, 0, 0, 9], lattice.CountBest([("ab", 9)]));
    }

    [Theory]
    [InlineData(1, -0.57721566490153286)]
    [InlineData(0.5, -1.9635100260214235)]
    [InlineData(10, 2.2517525890667211)]
    public void DigammaIsRight(double x, double expected) => Assert.Equal(expected, UnigramTrainer.Digamma(x), 9);

    [Fact]
    public void SeedsAreTheStringsThatGoOnInSeveralWays()
    {
        // 'ab' goes on with c, d and the end; 'b' is a character; 'abc' goes on in one way only.
        var seeds = UnigramSeeds.Find([("abc", 2), ("abd", 1), ("ab", 1)]).Select(seed => seed.Token).ToList();
        Assert.Equal(["b", "a", "c", "d", "ab"], seeds);
    }

    [Fact]
    public void LearningIsRepeatableImprovesAndLosesNothing()
    {
        var likelihoods = new List<double>();
        var tokenizer = UnigramTrainer.Train(Corpus, 500, ["<|end|>"], likelihoods.Add);
        Assert.Equal(tokenizer.ToJson().ToArray(), UnigramTrainer.Train(Corpus.Reverse(), 500, ["<|end|>"]).ToJson().ToArray());
        Assert.InRange(tokenizer.VocabularySize, 300, 500);
        // Between prunings each step of expectation maximisation gains, but for what its prior takes.
        Assert.True(likelihoods[1] > likelihoods[0], string.Join(' ', likelihoods));
        foreach (var character in Corpus.SelectMany(text => text.EnumerateRunes()).Distinct().Where(rune => rune.Value != ' '))
            Assert.NotNull(tokenizer.IdOf(character.ToString()));
        foreach (var text in Corpus.Take(200).Append("  two  spaces and \U00020000 \u00e9\u0301 unseen\n\ttext "))
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        var characters = Corpus.Take(200).Sum(text => text.Length);
        Assert.True(Corpus.Take(200).Sum(text => tokenizer.Encode(text).Length) < 0.6 * characters);
    }

    [Fact]
    public void AVocabularyWithoutRoomIsRefused()
    {
        Assert.Contains("no room", Assert.Throws<InputException>(() => UnigramTrainer.Train(Corpus, 260, [])).Message, StringComparison.Ordinal);
        Assert.Contains("no room", Assert.Throws<InputException>(() => WordPieceTrainer.Train(Corpus, 20, 0, [])).Message, StringComparison.Ordinal);
        Assert.Contains("mistaken", Assert.Throws<InputException>(() => UnigramTrainer.Train(Corpus, 600, ["x"])).Message, StringComparison.Ordinal);
    }
}
