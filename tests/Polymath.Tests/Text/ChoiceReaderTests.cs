using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Choices;

namespace Polymath.Tests.Text;

/// <summary>Questions with candidates, in the formats of published benchmarks.</summary>
[Trait("kind", "unit")]
public sealed class ChoiceReaderTests
{
    private static Row Row(params (string Name, string Value)[] fields) =>
        new("key", DataSplit.Test, fields.ToDictionary(field => field.Name, field => field.Value));

    private static ChoiceRow Read(ChoiceFormat format, Row row) => new ChoiceReader(new ChoiceAbility("data", format)).Read(row);

    // What lm-evaluation-harness makes of the same documents.
    [Fact]
    public void Mmlu_shows_the_candidates_and_scores_their_letters()
    {
        var row = Row(
            ("question", " What is 1 + 1? "), ("choices", "0\n1\n2\n3"), ("answer", "2"), ("subject", "elementary_mathematics"));
        var read = Read(ChoiceFormat.Mmlu, row);
        Assert.Equal("What is 1 + 1?\nA. 0\nB. 1\nC. 2\nD. 3\nAnswer:", read.Question);
        Assert.Equal(["A", "B", "C", "D"], read.Choices);
        Assert.Equal((2, "C"), (read.Answer, read.Solution));
        Assert.Equal(
            "The following are multiple choice questions (with answers) about elementary mathematics.\n\nX Y\n\nX Y\n\n" + read.Question,
            read.After(new ChoiceReader(new ChoiceAbility("data", ChoiceFormat.Mmlu)).Before(row), [Solved, Solved]));
    }

    private static ChoiceRow Solved => new("a", "X", [], 0, "Y");

    [Theory]
    [InlineData(ChoiceFormat.Ceval, "question", "answer")]
    [InlineData(ChoiceFormat.Cmmlu, "Question", "Answer")]
    public void Chinese_tests_have_columns_for_their_candidates(ChoiceFormat format, string question, string answer)
    {
        var read = Read(format, Row(
            (question, "一加一等于几？"),
            ("A", "零"),
            ("B", "一"),
            ("C", "二"),
            ("D", "三"),
            (answer, "C")));
        Assert.Equal("一加一等于几？\nA. 零\nB. 一\nC. 二\nD. 三\n答案：", read.Question);
        Assert.Equal(2, read.Answer);
    }

    [Fact]
    public void Hellaswag_s_marks_are_taken_out()
    {
        var read = Read(ChoiceFormat.Hellaswag, Row(
            ("activity_label", "Removing ice"),
            ("ctx_a", "A man [header] sits."),
            ("ctx_b", "he Then"),
            ("label", "1"),
            ("endings", "walks  off.\n[step] stays [title] Here.\nsleeps.\neats.")));
        Assert.Equal("Removing ice: A man sits. He then", read.Question);
        Assert.Equal(["walks off.", " stays. Here.", "sleeps.", "eats."], read.Choices);
        Assert.Equal(1, read.Answer);
    }

    [Fact]
    public void Piqa_arc_and_gsm8k_ask_their_questions()
    {
        var piqa = Read(ChoiceFormat.Piqa, Row(("goal", "Open it"), ("sol1", "push"), ("sol2", "pull"), ("label", "1")));
        Assert.Equal(("Question: Open it\nAnswer:", "pull", 1), (piqa.Question, piqa.Solution, piqa.Answer));
        var arc = Read(ChoiceFormat.Arc, Row(
            ("question", "Which?"), ("choices", """{"text":["two","1","three"],"label":["1","2","3"]}"""), ("answerKey", "2")));
        Assert.Equal(("Question: Which?\nAnswer:", "1", 1), (arc.Question, arc.Solution, arc.Answer));
        var gsm = Read(ChoiceFormat.Gsm8k, Row(("question", "How many?"), ("answer", "2 + 2 = 4\n#### 4")));
        Assert.Equal(("Question: How many?\nAnswer:", "2 + 2 = 4\n#### 4"), (gsm.Question, gsm.Solution));
    }

    [Theory]
    [InlineData("red", 0)]
    [InlineData("B", 1)]
    [InlineData("c", 2)]
    [InlineData("1", 1)]
    [InlineData("0", 3)]
    public void An_answer_is_a_candidate_its_letter_or_its_number(string answer, int number)
    {
        var spec = new ChoiceAbility("data", Question: "{q}", Choices: ["{list}"], Answer: "{a}");
        var read = new ChoiceReader(spec).Read(Row(("q", "which?"), ("list", "red\ngreen\nblue\n0"), ("a", answer)));
        Assert.Equal((number, 4), (read.Answer, read.Choices.Count));
    }

    [Theory]
    [InlineData("red\ngreen", "E", "has the answer 'E', which is none of its 2 candidates")]
    [InlineData("red", "red", "has 1 candidates")]
    [InlineData("red\n", "red", "an empty candidate")]
    public void A_row_that_is_no_question_is_refused(string list, string answer, string problem)
    {
        var spec = new ChoiceAbility("data", Question: "{q}", Choices: ["{list}"], Answer: "{a}");
        var fault = Assert.Throws<InputException>(() => new ChoiceReader(spec).Read(Row(("q", "?"), ("list", list), ("a", answer))));
        Assert.Contains(problem, fault.Message, StringComparison.Ordinal);
    }
}
