using System.Text.Json;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

/// <summary>The unigram model and its trainer, against cases computed by hand and against invariants.</summary>
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
        // 'ab' continues with c, d and the end; 'b' is a character; 'abc' continues in only one way.
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
        // Between prunings, each step of expectation maximisation increases the likelihood, except for the effect of the prior.
        Assert.True(likelihoods[1] > likelihoods[0], string.Join(' ', likelihoods));
        foreach (var character in Corpus.SelectMany(text => text.EnumerateRunes()).Distinct().Where(rune => rune.Value != ' '))
            Assert.NotNull(tokenizer.IdOf(character.ToString()));
        foreach (var text in Corpus.Take(200).Append("  two  spaces and \U00020000 \u00e9\u0301 unseen\n\ttext "))
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        var characters = Corpus.Take(200).Sum(text => text.Length);
        Assert.True(Corpus.Take(200).Sum(text => tokenizer.Encode(text).Length) < 0.6 * characters);
    }

    // Characters that were pruned get scores in the order of a hash table with random keys in the library. Pruning decides differently
    // about one token of 244; a separate computation of the formula agrees with ours.
    [Theory]
    [InlineData(600, 396, 0.002)]
    [InlineData(244, 243, 0.14)]
    public void TheReferenceTrainerLearnsTheSameTokens(int size, int alike, double tolerance)
    {
        using var reference = JsonDocument.Parse(File.ReadAllBytes(TextFixtures.At("tokenizer-training", $"unigram_{size}.json")));
        var expected = reference.RootElement.EnumerateArray().ToDictionary(item => item[0].GetString()!, item => item[1].GetDouble());
        using var learned = JsonDocument.Parse(UnigramTrainer.Train(Corpus, size + 256, []).ToJson());
        var own = learned.RootElement.GetProperty("model").GetProperty("vocab")
            .EnumerateArray().Select(item => (Token: item[0].GetString()!, Score: item[1].GetDouble()))
            .Where(piece => ByteFallbackStage.ByteOf(piece.Token) < 0).ToList();
        Assert.Equal(expected.Count, own.Count);
        Assert.Equal(alike, own.Count(piece => expected.ContainsKey(piece.Token)));
        Assert.All(
            own.Where(piece => expected.ContainsKey(piece.Token)), piece => Assert.Equal(expected[piece.Token], piece.Score, tolerance));
        // The median is what expectation maximisation alone decides.
        var differences = own.Where(piece => expected.ContainsKey(piece.Token))
            .Select(piece => Math.Abs(expected[piece.Token] - piece.Score)).Order().ToList();
        Assert.InRange(differences[differences.Count / 2], 0, size == 600 ? 1e-9 : 0.01);
    }

    [Fact]
    public void AVocabularyWithoutRoomIsRefused()
    {
        Assert.Contains(
            "no room", Assert.Throws<InputException>(() => UnigramTrainer.Train(Corpus, 260, [])).Message, StringComparison.Ordinal);
        Assert.Contains(
            "no room", Assert.Throws<InputException>(() => WordPieceTrainer.Train(Corpus, 20, 0, [])).Message, StringComparison.Ordinal);
        Assert.Contains(
            "mistaken", Assert.Throws<InputException>(() => UnigramTrainer.Train(Corpus, 600, ["x"])).Message, StringComparison.Ordinal);
    }
}
