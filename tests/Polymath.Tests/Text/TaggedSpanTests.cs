using Polymath.Text.Spans;

namespace Polymath.Tests.Text;

/// <summary>Entities in tags, and how well they are found.</summary>
[Trait("kind", "parity")]
public sealed class TaggedSpanTests
{
    // What seqeval's get_entities gives for the same tags, with ends behind the last word.
    [Theory]
    [InlineData("O B-PER I-PER O B-LOC", "PER 1 3, LOC 4 5")]
    [InlineData("B-PER B-PER I-PER", "PER 0 1, PER 1 3")]
    [InlineData("I-PER I-PER B-PER I-LOC", "PER 0 2, PER 2 3, LOC 3 4")]
    [InlineData("I-PER I-LOC O I-LOC", "PER 0 1, LOC 1 2, LOC 3 4")]
    [InlineData("S-PER B-LOC I-LOC E-LOC E-LOC", "PER 0 1, LOC 1 4, LOC 4 5")]
    [InlineData("E-PER I-PER S-PER O E-PER E-PER", "PER 0 1, PER 1 2, PER 2 3, PER 4 5, PER 5 6")]
    [InlineData("B-PER O O I-PER", "PER 0 1, PER 3 4")]
    [InlineData("E-PER E-LOC I-LOC B-LOC S-LOC I-LOC O", "PER 0 1, LOC 1 2, LOC 2 3, LOC 3 4, LOC 4 5, LOC 5 6")]
    [InlineData("O O", "")]
    [InlineData("B I B O", "_ 0 2, _ 2 3")]
    // Further schemes: BMES, BILOU, and kinds alone.
    [InlineData("B-LOC M-LOC E-LOC S-PER O", "LOC 0 3, PER 3 4")]
    [InlineData("B-LOC I-LOC L-LOC U-PER U-PER", "LOC 0 3, PER 3 4, PER 4 5")]
    [InlineData("PER PER O LOC", "PER 0 2, LOC 3 4")]
    public void Tags_name_entities(string tags, string entities) => Assert.Equal(
        entities,
        string.Join(", ", TaggedSpan.Of(tags.Split(' ')).Select(span => $"{span.Kind} {span.Start} {span.End}")));

    [Theory]
    [InlineData("a\nb c\nd", " ", "a|b c|d")]
    [InlineData(" a  b\tc ", " ", "a|b|c")]
    [InlineData("我在 京", "", "我|在|京")]
    [InlineData("我\n在北\n京", "", "我|在北|京")]
    public void Words_stand_between_white_space_or_are_a_list_s_items_or_characters(string text, string join, string words) =>
        Assert.Equal(words.Split('|'), TaggedSpan.Words(text, join));

    [Fact]
    public void Tags_are_written_as_they_are_read()
    {
        TaggedSpan[] spans = [new(1, 3, "PER"), new(3, 4, "LOC")];
        var tags = TaggedSpan.Tags(5, spans);
        Assert.Equal(["O", "B-PER", "I-PER", "B-LOC", "O"], tags);
        Assert.Equal(spans, TaggedSpan.Of(tags));
    }

    // seqeval's f1_score, precision_score and recall_score of the same two sentences: 2 of 4 found, 2 of 3 there.
    [Fact]
    public void An_entity_is_found_where_its_words_and_kind_are_right()
    {
        var counts = EntityCounts.Of(TaggedSpan.Of(["B-PER", "I-PER", "O", "B-LOC"]), TaggedSpan.Of(["B-PER", "I-PER", "O", "B-PER"]))
            .And(EntityCounts.Of(TaggedSpan.Of(["B-LOC", "B-LOC"]), TaggedSpan.Of(["B-LOC", "O"])));
        Assert.Equal((2, 4, 3), (counts.Right, counts.Found, counts.There));
        Assert.Equal((0.5, 2.0 / 3, 4.0 / 7), (counts.Precision, counts.Recall, counts.F1));
        Assert.Equal(0, new EntityCounts().F1);
    }
}
