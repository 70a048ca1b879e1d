using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Fills in texts in which <c>{field}</c> stands for a field's value; <c>{{</c> and <c>}}</c> stand for the brackets.</summary>
internal static class FieldText
{
    /// <summary>Fills in a text.</summary>
    /// <param name="pattern">The text.</param>
    /// <param name="fields">The fields.</param>
    /// <param name="where">Where the text stands, for messages.</param>
    /// <exception cref="InputException">A field does not exist, or a bracket is not closed.</exception>
    public static string Fill(string pattern, IReadOnlyDictionary<string, string> fields, string where)
    {
        if (pattern.AsSpan().IndexOfAny('{', '}') < 0)
            return pattern;
        var result = new StringBuilder();
        for (var i = 0; i < pattern.Length; i++)
        {
            var unit = pattern[i];
            if (unit is '{' or '}' && i + 1 < pattern.Length && pattern[i + 1] == unit)
            {
                result.Append(unit);
                i++;
            }
            else if (unit == '{')
            {
                var end = pattern.IndexOf('}', i);
                if (end < 0)
                    throw new InputException($"{where}: the bracket in '{pattern[i..]}' is not closed. Write {{field}}, or {{{{ for a bracket.");
                var name = pattern[(i + 1)..end];
                result.Append(fields.TryGetValue(name, out var value) ? value : throw new InputException($"{where}: there is no field '{name}'. Found: " +
                    $"{string.Join(", ", fields.Keys)}."));
                i = end;
            }
            else
            {
                result.Append(unit);
            }
        }

        return result.ToString();
    }
}
