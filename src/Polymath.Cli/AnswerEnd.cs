using Polymath.Models;
using Polymath.Models.Decoding;

namespace Polymath.Cli;

/// <summary>
/// Reports that an answer ended because the model's context was full, or at a length that nobody asked for; otherwise this looks like a
/// normal end.
/// </summary>
internal static class AnswerEnd
{
    internal static void Tell(
        TextModel model,
        int prompt,
        GeneratedTokens answer,
        SamplingSettings settings,
        bool lengthChosen)
    {
        if (answer.Finish != "length") return;
        var room = model.Model.RoomFor(prompt);
        if (answer.Tokens.Length >= room && room < settings.MaxNewTokens)
            Console.Error.WriteLine("\npolymath: the answer stops here because the model's context of "
                + $"{model.Model.Sizes.ContextLength:N0} tokens is full. A shorter prompt leaves more room.");
        else if (!lengthChosen)
            Console.Error.WriteLine($"\npolymath: the answer stops here after {settings.MaxNewTokens:N0} new tokens; --max-new-tokens N "
                + "allows more.");
    }
}
